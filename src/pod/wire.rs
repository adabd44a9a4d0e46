//! The messages between the agent and a pod-init: one postcard value per packet of a unix seqpacket socket, with descriptors beside it.
//!
//! pod-init inherits the listening socket as descriptor 3 and serves one connection at a time; a newer connection replaces
//! the older, since only one agent lives. Packets are bounded by [`limits::POD_MESSAGE`], descriptors by [`limits::POD_MESSAGE_FDS`].
//! The first packet on a connection is pod-init's [`Report::Hello`]. Then the agent sends [`Order::Setup`] unless the hello says
//! that this has been done.

use crate::manifest::List;
use crate::manifest::codec;
use crate::manifest::limits;
use crate::manifest::pod::Pair;
use crate::manifest::record::{ContainerRecord, Ending, Memo, PodRecord, Stage};
use crate::manifest::status::{Exit, Message, Uid};
use crate::manifest::terminal::{Size, Stdin};
use serde::{Deserialize, Serialize};

/// The version of these messages (failure F2). Raised with every change of them.
pub const VERSION: u16 = 2;

/// The descriptor at which pod-init finds its listening socket.
pub const LISTENER_FD: i32 = 3;

/// From the agent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Order<'a> {
    /// Once, first.
    Setup(#[serde(borrow)] Setup<'a>),
    /// Start a container. Descriptors: the image's detached mount; the two log segments; the cgroup directory on v2, or the
    /// `cgroup.procs` files on v1 ([`Start::cgroups`] of them); then one detached mount per element of [`Start::mounts`].
    Start(#[serde(borrow)] Start<'a>),
    /// Send a signal to the main process of a container.
    Signal {
        /// Which.
        container: u8,
        /// Its number; a signal for another instance is dropped.
        instance: u32,
        /// The signal.
        signal: u8,
    },
    /// Run a program inside a running container. Descriptors: standard input, output and error, unless it gets a terminal; the cgroups
    /// as for Start.
    Exec(#[serde(borrow)] Exec<'a>),
    /// Kill a program started by Exec.
    ExecKill {
        /// Which.
        id: u32,
    },
    /// Remember that the pod is being ended.
    MarkEnding(Ending),
    /// Kill everything and exit.
    Quit,
    /// Remember how far a container has come.
    MarkStage {
        /// Which.
        container: u8,
        /// Its number; what is said of another instance is dropped.
        instance: u32,
        /// How far.
        stage: Stage,
    },
    /// Hand out the input of a running container: its pipe, or its terminal. Answered by [`Report::Opened`], or by
    /// [`Report::ExecEnded`] where there is none.
    Attach {
        /// The caller's name for it.
        id: u32,
        /// Which.
        container: u8,
        /// Its number; another instance's input is not handed out.
        instance: u32,
    },
}

/// How the pod is to stand.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setup<'a> {
    /// The pod's UID; told again in every hello.
    pub uid: Uid,
    /// The pod's host name. Set unless the pod has the node's network (whose host name it then keeps).
    pub hostname: &'a str,
    /// The number of containers.
    pub containers: u8,
    /// The containers share the PID namespace of pod-init (spec 27): the pod's, or with `hostPID` the node's.
    pub share_processes: bool,
    /// The pod has the node's network: no loopback to bring up, and /sys stays the node's.
    pub host_network: bool,
    /// Bytes of the pod's /dev/shm.
    pub shm_bytes: u64,
    /// The sysctls to set, by name and value.
    #[serde(borrow)]
    pub sysctls: List<'a, Pair<'a>>,
}

/// One start of one container, with nothing left to look up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Start<'a> {
    /// Which.
    pub container: u8,
    /// Its number, from 1.
    pub instance: u32,
    /// What to tell an agent that adopts the pod.
    pub memo: Memo,
    /// The program and its arguments. The program is looked up in the PATH of `env` where it has no `/`.
    #[serde(borrow)]
    pub argv: List<'a, &'a str>,
    /// The environment, each `NAME=value`.
    #[serde(borrow)]
    pub env: List<'a, &'a str>,
    /// The working directory; made where it is missing.
    pub cwd: &'a str,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Supplementary groups.
    #[serde(borrow)]
    pub groups: List<'a, u32>,
    /// Capabilities to keep (bounding, permitted, effective; ambient for a user other than 0 none; inheritable never).
    pub capabilities: u64,
    /// Set no_new_privs.
    pub no_new_privileges: bool,
    /// No writable layer: the root is read-only.
    pub read_only_root: bool,
    /// Bytes of the writable layer (a tmpfs of the container's own, gone with the instance).
    pub layer_bytes: u64,
    /// Bytes a core file or such never takes: /proc/self/oom_score_adj (spec 94).
    pub oom_score_adj: i16,
    /// How many cgroup descriptors there are. On v2 it is one, and `cgroup_v2` is set.
    pub cgroups: u8,
    /// The one cgroup descriptor is a v2 directory, for CLONE_INTO_CGROUP.
    pub cgroup_v2: bool,
    /// Where the mounts go.
    #[serde(borrow)]
    pub mounts: List<'a, MountPoint<'a>>,
    /// What of the node it sees and may change.
    pub view: View,
    /// Its seccomp filter, in instructions of eight bytes; none where it is empty.
    pub seccomp: &'a [u8],
    /// Its standard input.
    pub stdin: Stdin,
    /// Its standard streams are a terminal of its own.
    pub tty: bool,
    /// It has no PID namespace of its own, but that of this container, which must run.
    pub target: Option<u8>,
}

/// What of the node a container sees and may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum View {
    /// The parts of /proc and /sys that tell of the node are hidden, and what changes it is read-only.
    Masked,
    /// All of /proc (`procMount: Unmasked`); /sys as in [`View::Masked`].
    Unmasked,
    /// All of /proc, /sys and the cgroups, writable, and every device of the node (`privileged`, spec 83). Behind the mounts of
    /// [`Start::mounts`] there is one more descriptor: the node's /dev.
    Privileged,
}

/// A mount's place in the container.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MountPoint<'a> {
    /// Absolute path inside; resolved inside the container's root whatever links are there; made where it is missing.
    pub path: &'a str,
    /// It is a directory, else a file.
    pub directory: bool,
    /// Make it read-only with everything that is mounted below it. A volume's mount comes as it is to be.
    pub read_only: bool,
}

/// A further program in a running container: the `exec` verb and exec hooks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exec<'a> {
    /// The caller's name for it.
    pub id: u32,
    /// Which container; environment, user and confinement are those of its newest start.
    pub container: u8,
    /// The program and its arguments.
    #[serde(borrow)]
    pub argv: List<'a, &'a str>,
    /// How many cgroup descriptors there are.
    pub cgroups: u8,
    /// The one cgroup descriptor is a v2 directory.
    pub cgroup_v2: bool,
    /// It gets a terminal of the container's, of this size, instead of three descriptors: [`Report::Opened`] hands it out.
    pub terminal: Option<Size>,
}

/// From pod-init.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Report {
    /// The first packet on each connection: who this is and what it knows.
    Hello(Hello),
    /// The pod stands.
    SetupDone,
    /// It does not; pod-init exits.
    SetupFailed(Failure),
    /// The program has been executed.
    Started {
        /// Which.
        container: u8,
        /// Its number.
        instance: u32,
    },
    /// It has not, and nothing of the attempt is left.
    StartFailed {
        /// Which.
        container: u8,
        /// Its number.
        instance: u32,
        /// Why.
        failure: Failure,
    },
    /// The main process has ended (with everything in its PID namespace, where it had its own).
    Exited {
        /// Which.
        container: u8,
        /// Its number.
        instance: u32,
        /// How.
        exit: Exit,
    },
    /// A program of Exec is over; also where it could not be started.
    ExecEnded {
        /// Which.
        id: u32,
        /// How, or why not.
        result: Result<Exit, Failure>,
    },
    /// What an [`Order::Attach`] asked for, or the terminal of an [`Order::Exec`]: the one descriptor beside it.
    Opened {
        /// Which.
        id: u32,
    },
}

/// Who a pod-init is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// [`VERSION`].
    pub version: u16,
    /// The pod's UID; `None` before Setup, and then nothing has been started.
    pub uid: Option<Uid>,
    /// What was told about the pod.
    pub pod: PodRecord,
    /// The containers' lives.
    pub containers: heapless::Vec<ContainerRecord, { limits::CONTAINERS }>,
}

/// A step that failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Which step.
    pub step: Step,
    /// errno, or 0 where the kernel was not asked.
    pub errno: i32,
    /// On what: a path, a program.
    pub subject: Message,
}

/// The steps on the way to a running container, in order; the text of an error names one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// The order itself made no sense.
    Order,
    /// clone3.
    Clone,
    /// Joining the cgroups.
    Cgroup,
    /// Namespaces.
    Namespace,
    /// The root file system.
    Root,
    /// /dev, /proc, /sys.
    SystemMounts,
    /// A volume or a managed file.
    Mount,
    /// pivot_root.
    Pivot,
    /// Host name, loopback.
    Names,
    /// The working directory.
    WorkingDirectory,
    /// User, groups, capabilities.
    Credentials,
    /// execve.
    Exec,
    /// Handing out the input of a container.
    Attach,
}

/// The packet of a message, in `buffer`; `None` where it does not fit.
pub fn encode<'b, T: Serialize>(message: &T, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    postcard::to_slice(message, buffer).ok().map(|bytes| &*bytes)
}

/// The order in a packet, whole and canonical, its lists walked and bounded (failure F11).
pub fn decode_order(packet: &[u8]) -> Option<Order<'_>> {
    let order = decode(packet)?;
    let sound = match &order {
        Order::Setup(setup) => {
            setup.hostname.len() <= limits::LABEL + 1
                && usize::from(setup.containers) <= limits::CONTAINERS
                && is_sound(setup.sysctls, limits::SYSCTLS)
        }
        Order::Start(start) => {
            is_sound(start.argv, 2 * limits::ARGS)
                && is_sound(start.env, limits::POD_MESSAGE)
                && is_sound(start.groups, limits::GROUPS * 2)
                && is_sound(start.mounts, limits::POD_MESSAGE_FDS)
                && start.seccomp.len() <= limits::FILTER_BYTES
                && start.seccomp.len().is_multiple_of(8)
        }
        Order::Exec(exec) => is_sound(exec.argv, limits::ARGS),
        _ => true,
    };
    sound.then_some(order)
}

/// The report in a packet, whole and canonical.
pub fn decode_report(packet: &[u8]) -> Option<Report> {
    decode(packet)
}

/// A value that fills the packet, and whose own encoding is this packet: one meaning has one form.
fn decode<'a, T: Serialize + Deserialize<'a>>(packet: &'a [u8]) -> Option<T> {
    codec::decode(packet).ok()
}

/// Whether a list decodes to its last byte into canonical elements, and has at most `most`.
fn is_sound<'a, T: Serialize + Deserialize<'a>>(list: List<'a, T>, most: usize) -> bool {
    let mut rest = list.as_bytes();
    for _ in 0..most {
        if rest.is_empty() {
            return true;
        }
        let Ok((_, after)) = codec::take::<T>(rest) else { return false };
        rest = after;
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_f11_only_whole_canonical_packets_are_understood() {
        let order = Order::Signal { container: 1, instance: 300, signal: 15 };
        let mut buffer = [0; 64];
        let packet = encode(&order, &mut buffer).unwrap();
        assert_eq!(decode_order(packet), Some(order));
        for cut in 0..packet.len() {
            assert_eq!(decode_order(&packet[..cut]), None, "cut at {cut}");
        }
        let mut longer = [0; 64];
        longer[..packet.len()].copy_from_slice(packet);
        assert_eq!(decode_order(&longer[..=packet.len()]), None, "a byte too many");
        // 2 as a varint of two bytes.
        assert_eq!(decode_order(&[2, 1, 0x82, 0x00, 15]), None);
        assert_eq!(decode_order(&[2, 1, 0x02, 15]), Some(Order::Signal { container: 1, instance: 2, signal: 15 }));
    }

    #[test]
    fn failure_f11_mutated_packets_are_refused_or_mean_what_they_say() {
        let mount = MountPoint { path: "/data", directory: true, read_only: false };
        let (mut point, mut word, mut group) = ([0; 16], [0; 8], [0; 8]);
        let start = Start {
            container: 1,
            instance: 7,
            memo: Memo::default(),
            argv: List::from_bytes(encode(&"sh", &mut word).unwrap()),
            env: List::EMPTY,
            cwd: "/",
            uid: 1000,
            gid: 70_000,
            groups: List::from_bytes(encode(&300_u32, &mut group).unwrap()),
            capabilities: 0xa804_25fb,
            no_new_privileges: true,
            read_only_root: false,
            layer_bytes: 1 << 24,
            oom_score_adj: -997,
            cgroups: 1,
            cgroup_v2: true,
            mounts: List::from_bytes(encode(&mount, &mut point).unwrap()),
            view: View::Masked,
            seccomp: &[6, 0, 0, 0, 0, 0, 0xff, 0x7f],
            stdin: Stdin::Once,
            tty: true,
            target: Some(2),
        };
        let mut buffer = [0; 256];
        let packet = encode(&Order::Start(start), &mut buffer).unwrap();
        assert_eq!(decode_order(packet), Some(Order::Start(start)));
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed % below as u64) as usize
        };
        let mut understood = 0;
        for _ in 0..200_000 {
            let mut mutant = [0; 256];
            let length = if random(4) == 0 { random(packet.len() + 8) } else { packet.len() };
            mutant[..packet.len()].copy_from_slice(packet);
            for _ in 0..=random(3) {
                mutant[random(length.max(1))] = random(256) as u8;
            }
            let mutant = &mutant[..length];
            if let Some(order) = decode_order(mutant) {
                understood += 1;
                assert_eq!(encode(&order, &mut [0; 300]).unwrap(), mutant, "two forms of one order");
            }
            let _ = decode_report(mutant);
        }
        assert!(understood > 1000, "the mutants were all nonsense");
    }

    #[test]
    fn failure_f11_lists_are_walked_and_bounded() {
        assert!(is_sound::<&str>(List::from_bytes(b"\x01a\x01b"), 2));
        assert!(!is_sound::<&str>(List::from_bytes(b"\x01a\x01b"), 1), "too many");
        assert!(!is_sound::<&str>(List::from_bytes(b"\x01a\x05b"), 2), "runs out");
        assert!(!is_sound::<&str>(List::from_bytes(b"\x81\x00a"), 2), "not canonical");
    }
}
