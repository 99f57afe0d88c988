use std::path::PathBuf;

use super::Scratch;
use crate::landlock::{describe, readable};

#[test]
fn a_hidden_directory_is_left_out_by_naming_its_siblings() {
    let scratch = Scratch::new("readable");
    for name in ["data/identity/a", "data/work/one/x", "beside/y", "file"] {
        scratch.file(name, "");
    }
    let hidden = scratch.path().join("data");
    let paths: Vec<PathBuf> = readable(std::slice::from_ref(&hidden))
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    assert!(paths.contains(&scratch.path().join("beside")));
    assert!(paths.contains(&scratch.path().join("file")));
    assert!(paths.contains(&PathBuf::from("/usr")));
    // No rule for it, for anything in it, or for a directory above it but the root's, which lets names be listed.
    let at_or_above = |path: &PathBuf| hidden.starts_with(path) && path.parent().is_some();
    assert!(!paths
        .iter()
        .any(|path| path.starts_with(&hidden) || at_or_above(path)));
}

#[test]
fn devices_are_never_readable_as_a_whole() {
    for hidden in [vec![], vec![PathBuf::from("/nowhere/at/all")]] {
        assert!(!readable(&hidden)
            .iter()
            .any(|(path, _)| path.starts_with("/dev")));
    }
}

#[test]
fn only_the_root_itself_is_covered_by_a_rule_for_names_alone() {
    const READ_DIR: u64 = 8;
    let rules = readable(&[]);
    assert_eq!(rules.first(), Some(&(PathBuf::from("/"), READ_DIR)));
    assert!(rules
        .iter()
        .skip(1)
        .all(|(path, rights)| path.parent().is_some() && *rights == 13));
}

#[test]
fn versions_that_cannot_keep_files_whole_say_so() {
    let said: Vec<&str> = (0..=7).map(describe).collect();
    assert_eq!(
        said[..4],
        [
            "unenforced",
            "landlock-partial",
            "landlock-partial",
            "landlock"
        ]
    );
    assert!(said[3..].iter().all(|word| *word == "landlock"));
}
