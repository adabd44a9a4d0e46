//! A real pod-init, driven over its socket as the agent does: what it promises of processes, namespaces, mounts and output.
//!
//! Run as root; the containers are busybox (Debian's package busybox-static).

mod pod;

use pod::{Ordered, Pod, Sandbox};

#[test]
fn spec_41_exit_codes_and_signals_are_told() {
    let mut pod = Pod::new(&Sandbox::default());
    for (script, code, signal) in [("exit 0", 0, 0), ("exit 3", 3, 0), ("kill -9 $$; sleep 100", 137, 9), ("exit 255", 255, 0)] {
        let (exit, _) = pod.run(0, &Ordered::shell(&format!("({script}); exit $?")));
        assert_eq!(exit.code, code, "{script}");
        assert_eq!(exit.signal, signal * u8::from(code == 0), "{script}");
    }
}

#[test]
fn spec_26_the_hostname_is_the_pods() {
    let mut pod = Pod::new(&Sandbox::default());
    assert_eq!(pod.shell(0, "hostname"), "web\n");
}
