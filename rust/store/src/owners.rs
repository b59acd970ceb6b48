//! Owners that a user namespace cannot express.
//!
//! An ordinary user with a single id owns every file of a checkout, whatever the layer says. What
//! overlay copies up from there has that owner too, although nobody changed it: the recorded one
//! counts. The price is that a change from such an owner to root cannot be seen; no other change
//! is possible there.

use crate::tree::Node;
use fastlayer_fs::Metadata;

/// The ids that exist in this process's user namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owners {
    users: Vec<Range>,
    groups: Vec<Range>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    first: u64,
    count: u64,
}

impl Owners {
    /// As the kernel says it; where it does not, all ids exist.
    pub(crate) fn of_process() -> Self {
        let read = |path: &str| ranges(&std::fs::read_to_string(path).unwrap_or_default());
        Self {
            users: read("/proc/self/uid_map"),
            groups: read("/proc/self/gid_map"),
        }
    }

    /// User and group that a path of an upper is to have in a layer, over `lower`.
    pub(crate) fn recorded(&self, upper: &Metadata, lower: Option<&Node<'_>>) -> (u32, u32) {
        let Some(lower) = lower else {
            return (upper.uid, upper.gid);
        };
        (
            choose(&self.users, upper.uid, lower.uid()),
            choose(&self.groups, upper.gid, lower.gid()),
        )
    }
}

fn choose(ranges: &[Range], upper: u32, lower: u32) -> u32 {
    if upper == 0 && !exists(ranges, lower) {
        lower
    } else {
        upper
    }
}

fn exists(ranges: &[Range], id: u32) -> bool {
    let id = u64::from(id);
    ranges.is_empty()
        || ranges
            .iter()
            .any(|range| (range.first..range.first + range.count).contains(&id))
}

/// Reads a map of the kernel: the first id inside, the first outside, how many.
fn ranges(map: &str) -> Vec<Range> {
    let range = |line: &str| {
        let mut fields = line.split_whitespace().map(str::parse::<u64>);
        let (first, _, count) = (fields.next()?.ok()?, fields.next()?, fields.next()?.ok()?);
        Some(Range { first, count })
    };
    map.lines().filter_map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_exist_stays_as_recorded() {
        let single = ranges("         0       1000          1\n");
        assert_eq!(choose(&single, 0, 33), 33);
        assert_eq!(choose(&single, 0, 0), 0);
        let many = ranges("0 1000 1\n1 100000 65536\n");
        assert_eq!(choose(&many, 0, 33), 0);
        assert_eq!(choose(&many, 0, 65536), 0);
        assert_eq!(choose(&many, 0, 65537), 65537);
        assert_eq!(choose(&many, 5, 65537), 5);
    }

    #[test]
    fn on_the_machine_itself_all_exist() {
        let all = ranges("         0          0 4294967295\n");
        assert_eq!(choose(&all, 0, 4_000_000_000), 0);
        assert_eq!(choose(&ranges(""), 0, 7), 0);
    }
}
