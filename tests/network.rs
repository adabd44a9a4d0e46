//! The board's Ethernet, in network namespaces of the test's own. Needs root.

use podling::agent::boot::ethernet;
use podling::manifest::board;
use podling::sys::netlink::Network;
use rustix::thread::{UnshareFlags, unshare_unsafe};
use std::process::Command;
use std::time::Duration;

/// Runs `test` in a network namespace that dies with its thread.
#[allow(unsafe_code, reason = "unshare is unsafe for the sake of what else it can unshare")]
fn alone(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(|| {
        // SAFETY: a network namespace changes nothing in memory, and no descriptor of this thread depends on the old one.
        unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.expect("run this test as root: it needs a network namespace");
        test();
    });
    thread.join().unwrap();
}

/// Lines of /proc/thread-self/net/route: interface, destination, gateway, mask as the kernel shows them.
fn routes() -> Vec<[String; 4]> {
    let table = std::fs::read_to_string("/proc/thread-self/net/route").unwrap();
    let row = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        [0, 1, 2, 7].map(|n| words[n].to_string())
    };
    table.lines().skip(1).map(row).collect()
}

fn has_address(address: &str) -> bool {
    let table = std::fs::read_to_string("/proc/thread-self/net/fib_trie").unwrap_or_default();
    table.lines().any(|line| line.trim_start_matches([' ', '|', '-']) == address)
}

/// As the kernel writes an address in /proc.
fn hex(address: [u8; 4]) -> String {
    format!("{:08X}", u32::from_ne_bytes(address))
}

#[test]
fn a_link_gets_its_address_and_the_default_route() {
    alone(|| {
        let network = Network::open().unwrap();
        assert!(!has_address("127.0.0.1"));
        network.up("lo").unwrap();
        assert!(has_address("127.0.0.1"), "the link is up: the kernel gives it its address by itself");
        network.address("lo", [10, 98, 7, 5], 24).unwrap();
        assert!(has_address("10.98.7.5"));
        network.address("lo", [10, 98, 7, 5], 24).expect("an address that is there already is fine");
        for gateway in [[10, 98, 7, 1], [10, 98, 7, 2]] {
            network.default_route("lo", gateway).unwrap();
            let default = ["lo".into(), hex([0; 4]), hex(gateway), hex([0; 4])];
            assert_eq!(routes().into_iter().filter(|row| row[3] == hex([0; 4])).collect::<Vec<_>>(), [default]);
        }
    });
}

/// A board without its Ethernet starts its pods all the same: what waits is a task of the agent, which says what is missing.
#[test]
fn a_link_that_comes_late_is_taken_up_when_it_comes() {
    alone(|| {
        let eth7 = ethernet(Some([10, 98, 7, 1]));
        let (tell, told) = std::sync::mpsc::channel();
        // It comes only once it is missed; a thread of this one's is in the same network namespace.
        let plug = std::thread::spawn(move || {
            let told: String = told.recv().unwrap();
            let mut add = Command::new("ip");
            add.args(["link", "add", "eth7", "type", "veth", "peer", "name", "eth8"]);
            assert!(add.status().expect("ip: install Debian's package iproute2").success());
            told
        });
        let up = ethernet::take_up(&eth7, Duration::ZERO, |missing| tell.send(missing.to_string()).unwrap());
        assert_eq!(smol::block_on(up), Ok(Some("eth7 10.98.7.5/24".into())));
        let told = plug.join().unwrap();
        assert!(told.starts_with("network: eth7 has not come up in 0 s: is it there"), "{told}");
        assert!(has_address("10.98.7.5"));
        assert!(routes().iter().any(|row| row[0] == "eth7" && row[2] == hex([10, 98, 7, 1])));

        // A new agent finds it so, and nothing is news.
        let again = ethernet::take_up(&eth7, Duration::ZERO, |missing| panic!("{missing}"));
        assert_eq!(smol::block_on(again), Ok(None));
    });
}

fn ethernet(gateway: Option<[u8; 4]>) -> board::Network<'static> {
    board::Network { interface: "eth7", address: [10, 98, 7, 5], prefix: 24, gateway, dns: None }
}

#[test]
fn what_is_missing_is_named() {
    alone(|| {
        let network = Network::open().unwrap();
        assert_eq!(network.up("eth0").unwrap_err().to_string(), "bring up eth0: No such device");
        assert_eq!(
            network.address("eth0", [10, 0, 0, 1], 8).unwrap_err().to_string(),
            "set the address of eth0: No such device"
        );
        let message = network.default_route("lo", [10, 0, 0, 2]).unwrap_err().to_string();
        assert_eq!(message, "set the default route by lo: Network is unreachable");
    });
}
