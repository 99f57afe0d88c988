use crate::session::{processes, Stat};

#[test]
fn a_line_of_stat_is_read_whatever_the_command_is_called() {
    let line = "1234 (a) S 9 (b c) R 7 8 6 0 -1 4194304";
    let expected = Stat {
        state: 'R',
        parent: 7,
        group: 8,
        session: 6,
    };
    assert_eq!(Stat::parse(line), Some(expected));
}

#[test]
fn what_is_no_line_of_stat_is_no_process() {
    for line in [
        "",
        "1 (x",
        "1 (x)",
        "1 (x) S",
        "1 (x) S 1 2",
        "1 (x) S a b c",
    ] {
        assert_eq!(Stat::parse(line), None, "{line:?}");
    }
}

#[test]
fn this_process_is_found_in_its_session() {
    let own = std::process::id() as i32;
    let all = processes();
    let (_, stat) = all.iter().find(|(pid, _)| *pid == own).unwrap();
    // SAFETY: takes a number and touches no memory.
    #[allow(unsafe_code)]
    let session = unsafe { libc::getsid(0) };
    assert_eq!(stat.session, session);
}
