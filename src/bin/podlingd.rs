//! `podlingd`, the board's program: PID 1, agent, pod-init and command line, chosen by how it is started.

fn main() {}
