//! Huge pages (spec 93): their sizes on the processors that boards have, and how many of each are asked for.

use serde::{Deserialize, Serialize};

/// A size of huge pages that some kernel of a board has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PageSize {
    /// 64 KiB.
    Ki64,
    /// 2 MiB.
    Mi2,
    /// 32 MiB.
    Mi32,
    /// 512 MiB.
    Mi512,
    /// 1 GiB.
    Gi1,
    /// 16 GiB.
    Gi16,
}

impl PageSize {
    /// All of them, smaller ones first.
    pub const ALL: [PageSize; 6] =
        [PageSize::Ki64, PageSize::Mi2, PageSize::Mi32, PageSize::Mi512, PageSize::Gi1, PageSize::Gi16];

    /// One page in bytes.
    pub const fn bytes(self) -> u64 {
        match self {
            PageSize::Ki64 => 64 << 10,
            PageSize::Mi2 => 2 << 20,
            PageSize::Mi32 => 32 << 20,
            PageSize::Mi512 => 512 << 20,
            PageSize::Gi1 => 1 << 30,
            PageSize::Gi16 => 16 << 30,
        }
    }

    /// What Kubernetes calls it as a resource that is limited; [`PageSize::resource`], [`PageSize::medium`] are pieces of it.
    pub const fn limit(self) -> &'static str {
        match self {
            PageSize::Ki64 => "limits.hugepages-64Ki",
            PageSize::Mi2 => "limits.hugepages-2Mi",
            PageSize::Mi32 => "limits.hugepages-32Mi",
            PageSize::Mi512 => "limits.hugepages-512Mi",
            PageSize::Gi1 => "limits.hugepages-1Gi",
            PageSize::Gi16 => "limits.hugepages-16Gi",
        }
    }

    /// The same as one that is requested.
    pub const fn request(self) -> &'static str {
        match self {
            PageSize::Ki64 => "requests.hugepages-64Ki",
            PageSize::Mi2 => "requests.hugepages-2Mi",
            PageSize::Mi32 => "requests.hugepages-32Mi",
            PageSize::Mi512 => "requests.hugepages-512Mi",
            PageSize::Gi1 => "requests.hugepages-1Gi",
            PageSize::Gi16 => "requests.hugepages-16Gi",
        }
    }

    /// The name of the resource: `hugepages-2Mi`.
    pub fn resource(self) -> &'static str {
        self.limit().trim_start_matches("limits.")
    }

    /// The size as a quantity: `2Mi`.
    pub fn quantity(self) -> &'static str {
        self.limit().trim_start_matches("limits.hugepages-")
    }

    /// The medium of an emptyDir of such pages.
    pub const fn medium(self) -> &'static str {
        match self {
            PageSize::Ki64 => "HugePages-64Ki",
            PageSize::Mi2 => "HugePages-2Mi",
            PageSize::Mi32 => "HugePages-32Mi",
            PageSize::Mi512 => "HugePages-512Mi",
            PageSize::Gi1 => "HugePages-1Gi",
            PageSize::Gi16 => "HugePages-16Gi",
        }
    }
}

/// Numbers of pages, by size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HugePages([u32; PageSize::ALL.len()]);

impl HugePages {
    /// No page of any size.
    pub const NONE: HugePages = HugePages([0; PageSize::ALL.len()]);

    /// Those of one size.
    pub const fn of(self, size: PageSize) -> u32 {
        self.0[size as usize]
    }

    /// The same with so many of one size.
    pub const fn with(mut self, size: PageSize, pages: u32) -> HugePages {
        self.0[size as usize] = pages;
        self
    }

    /// The sizes that there are some of, and how many.
    pub fn iter(self) -> impl Iterator<Item = (PageSize, u32)> {
        PageSize::ALL.into_iter().zip(self.0).filter(|(_, pages)| *pages > 0)
    }

    /// Bytes of those of one size.
    pub const fn bytes(self, size: PageSize) -> u64 {
        self.of(size) as u64 * size.bytes()
    }

    /// Bytes of all.
    pub fn all_bytes(self) -> u64 {
        PageSize::ALL.into_iter().fold(0u64, |sum, size| sum.saturating_add(self.bytes(size)))
    }

    /// For each size what `both` makes of its two numbers.
    pub fn join(self, other: HugePages, both: impl Fn(u32, u32) -> u32) -> HugePages {
        let mut joined = self;
        joined.0.iter_mut().zip(other.0).for_each(|(one, two)| *one = both(*one, two));
        joined
    }

    /// The first size of which there are fewer than of `other`.
    pub fn short_of(self, other: HugePages) -> Option<PageSize> {
        PageSize::ALL.into_iter().find(|size| self.of(*size) < other.of(*size))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn spec_93_the_sizes_are_named_as_kubernetes_names_them() {
        for size in PageSize::ALL {
            assert_eq!(crate::manifest::units::Bytes(size.bytes()).to_string(), size.quantity());
            assert_eq!(size.medium().trim_start_matches("HugePages"), size.resource().trim_start_matches("hugepages"));
            assert_eq!(size.request().trim_start_matches("requests"), size.limit().trim_start_matches("limits"));
        }
        let some = HugePages::NONE.with(PageSize::Mi2, 3);
        assert_eq!((some.bytes(PageSize::Mi2), some.all_bytes()), (6 << 20, 6 << 20));
        let joined = some.join(some.with(PageSize::Gi1, 1), u32::saturating_add);
        assert!(joined.iter().eq([(PageSize::Mi2, 6), (PageSize::Gi1, 1)]));
        assert_eq!((some.short_of(joined), joined.short_of(some)), (Some(PageSize::Mi2), None));
    }
}
