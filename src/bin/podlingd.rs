//! `podlingd`, the board's program: PID 1, agent, pod-init and command line, chosen by how it is started.

fn main() {
    if std::env::args().next().is_some_and(|name| name.ends_with("pod-init")) {
        podling::pod::init::main()
    }
}
