//! The mounted trees of cgroups: which there are, what each can carry, and our own directory in them.

use super::{CONTROLLERS, Error, failed};
use rustix::io::Errno;
use std::borrow::ToOwned;
use std::format;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::prelude::v1::*;

/// One mounted tree, at the directory that is ours in it.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    /// Our directory.
    pub(super) home: PathBuf,
    /// It is of v2.
    pub(super) v2: bool,
    /// The limits that it can carry, as bits of [`CONTROLLERS`].
    pub(super) carries: u8,
    /// It counts processor time in `cpuacct.usage`.
    pub(super) cpuacct: bool,
}

impl Tree {
    pub(super) fn carries(&self, controller: &str) -> bool {
        CONTROLLERS.iter().position(|name| *name == controller).is_some_and(|bit| self.carries & 1 << bit != 0)
    }
}

/// The trees that matter, from the text of mountinfo: for each controller the tree that has it, and one v2 tree.
/// Only `used` ones of the controllers count.
pub(super) fn find_trees(mountinfo: &str, used: &[&str], controllers: impl Fn(&Path) -> String) -> Vec<Tree> {
    let mut trees: Vec<Tree> = Vec::new();
    let mut taken = 0u8;
    for line in mountinfo.lines() {
        let Some((left, right)) = line.split_once(" - ") else {
            continue;
        };
        let (Some(home), Some(kind)) = (left.split(' ').nth(4), right.split(' ').next()) else {
            continue;
        };
        let home = PathBuf::from(home);
        let v2 = kind == "cgroup2";
        let offers = match kind {
            "cgroup2" if !trees.iter().any(|tree| tree.v2) => {
                controllers(&home).split_whitespace().collect::<Vec<_>>().join(",")
            }
            "cgroup" => right.rsplit(' ').next().unwrap_or_default().to_owned(),
            _ => continue,
        };
        let offers: Vec<&str> = offers.split(',').collect();
        let bits =
            used.iter().enumerate().filter(|(_, name)| offers.contains(name)).fold(0, |bits, (n, _)| bits | 1 << n);
        let carries = bits & !taken;
        let cpuacct = !v2 && offers.contains(&"cpuacct") && !trees.iter().any(|tree| tree.cpuacct);
        taken |= carries;
        if v2 || carries != 0 || cpuacct {
            trees.push(Tree { home, v2, carries, cpuacct });
        }
    }
    // A v2 tree counts processor time by itself, so that a tree of nothing but cpuacct is one to join for nothing.
    if trees.iter().any(|tree| tree.v2) {
        trees.retain(|tree| tree.v2 || tree.carries != 0);
    }
    trees
}

/// Makes our directory in a tree, and on v2 hands it the controllers that the kernel lets go of.
pub(super) fn prepare(tree: &mut Tree, name: &str) -> Result<(), Error> {
    if tree.v2 && tree.carries != 0 {
        let mut dir = tree.home.clone();
        for part in Path::new(name).components() {
            tree.carries = enable(&dir, tree.carries);
            dir.push(part);
            fs::create_dir_all(&dir).map_err(failed("make", &dir))?;
        }
        tree.carries = enable(&dir, tree.carries);
    }
    tree.home.push(name);
    fs::create_dir_all(&tree.home).map_err(failed("make", &tree.home))?;
    if !tree.v2 && tree.carries("memory") {
        // Kernels before 5.11 count a child's memory for its parent only where told to; later ones know nothing else.
        let _ = fs::write(tree.home.join("memory.use_hierarchy"), "1");
    }
    Ok(())
}

/// Enables controllers for the children of `dir`, and gives those that are enabled now.
fn enable(dir: &Path, wanted: u8) -> u8 {
    let file = dir.join("cgroup.subtree_control");
    for (n, name) in CONTROLLERS.iter().enumerate() {
        if wanted & 1 << n != 0 {
            let _ = fs::write(&file, format!("+{name}"));
        }
    }
    let now = fs::read_to_string(&file).unwrap_or_default();
    let on = |name: &&str| now.split_whitespace().any(|word| word == *name);
    CONTROLLERS.iter().enumerate().filter(|(_, name)| on(name)).fold(0, |bits, (n, _)| bits | 1 << n) & wanted
}

/// Lets the children of a group have limits.
pub(super) fn delegate(tree: &Tree, dir: &Path) -> Result<(), Error> {
    if !tree.v2 || enable(dir, tree.carries) == tree.carries {
        return Ok(());
    }
    Err(failed("hand on the controllers of", dir)(io::Error::from(Errno::OPNOTSUPP)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "30 29 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
32 30 0:28 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct
33 30 0:29 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
34 30 0:30 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
35 30 0:31 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
36 30 0:32 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";

    fn summary(trees: &[Tree]) -> Vec<(&str, bool, u8, bool)> {
        trees.iter().map(|t| (t.home.to_str().unwrap(), t.v2, t.carries, t.cpuacct)).collect()
    }

    #[test]
    fn spec_98_every_layout_of_trees_is_recognised() {
        let hybrid = find_trees(HYBRID, &CONTROLLERS[..3], |_| "hugetlb".to_owned());
        assert_eq!(
            summary(&hybrid),
            [
                ("/sys/fs/cgroup/cpu", false, 0b010, false),
                ("/sys/fs/cgroup/memory", false, 0b001, false),
                ("/sys/fs/cgroup/pids", false, 0b100, false),
                ("/sys/fs/cgroup/unified", true, 0, false),
            ]
        );
        let huge = find_trees(HYBRID, &CONTROLLERS, |_| "hugetlb".to_owned());
        assert_eq!(summary(&huge)[3], ("/sys/fs/cgroup/unified", true, 0b1000, false));
        let v1 = find_trees(HYBRID.rsplit_once('\n').unwrap().0, &CONTROLLERS, |_| String::new());
        assert_eq!(v1.len(), 4);
        assert!(v1[1].cpuacct);
        let v2 = "30 29 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
        assert_eq!(
            summary(&find_trees(v2, &CONTROLLERS, |_| "cpu memory pids".to_owned())),
            [("/sys/fs/cgroup", true, 0b111, false)]
        );
    }
}
