//! Which children of this process belong to a [`crate::Process`], so that nobody else takes their endings.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

static OWNED: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// The numbers of owned children. Held while one is made or an orphan is reaped, so that none is between both.
pub(crate) fn owned() -> MutexGuard<'static, BTreeSet<i32>> {
    OWNED.lock().unwrap_or_else(PoisonError::into_inner)
}
