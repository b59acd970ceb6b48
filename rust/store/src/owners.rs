//! Owners and attributes that a user namespace cannot express.
//!
//! An ordinary user with a single id owns every file of a checkout, whatever the layer says. What
//! overlay copies up from there has that owner too, although nobody changed it: the recorded one
//! counts. The price is that a change from such an owner to root cannot be seen; no other change
//! is possible there. Attributes that could not be given to a file in the checkout are missing in
//! its copy in the same way, and nobody can have removed them.

use fastlayer_fs::Metadata;
use fastlayer_fs::xattr::Attributes;

use crate::error::Result;
use crate::overlay::is_portable;
use crate::tree::Node;

/// Bytes of the head of an access-control list, and of one of its entries.
const LIST_HEAD: usize = 4;
const LIST_ENTRY: usize = 8;
/// The tags of entries with the id of a user, or of a group.
const LIST_USER: u16 = 0x02;
const LIST_GROUP: u16 = 0x08;

/// Ids of the machine's own user namespace.
const ALL: u64 = u32::MAX as u64;

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

    /// Adds to the attributes of a path of an upper those of `lower` that nobody here can set.
    pub(crate) fn add_recorded(
        &self,
        upper: &mut Attributes,
        lower: Option<&Node<'_>>,
    ) -> Result<()> {
        let Some(lower) = lower.filter(|lower| lower.has_xattrs() && !self.all()) else {
            return Ok(());
        };
        for (name, value) in lower.xattrs()? {
            if is_portable(&name) && !upper.contains_key(&name) && !self.can_set(&name, &value) {
                upper.insert(name, value);
            }
        }
        Ok(())
    }

    /// Whether a file may belong to them here.
    pub(crate) fn have(&self, user: u32, group: u32) -> bool {
        exists(&self.users, user) && exists(&self.groups, group)
    }

    /// Whether this is the machine's own user namespace.
    pub(crate) fn all(&self) -> bool {
        let all = |ranges: &[Range]| ranges.iter().all(|range| range.count >= ALL);
        all(&self.users) && all(&self.groups)
    }

    /// Whether the root of this user namespace may give such an attribute to a file of its own.
    pub(crate) fn can_set(&self, name: &[u8], value: &[u8]) -> bool {
        if name.starts_with(b"system.posix_acl_") {
            return value
                .get(LIST_HEAD..)
                .unwrap_or_default()
                .chunks_exact(LIST_ENTRY)
                .all(|entry| self.can_list(entry));
        }
        name.starts_with(b"user.") || name == b"security.capability"
    }

    fn can_list(&self, entry: &[u8]) -> bool {
        let tag = u16::from_le_bytes([entry[0], entry[1]]);
        let id = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
        match tag {
            LIST_USER => exists(&self.users, id),
            LIST_GROUP => exists(&self.groups, id),
            _ => true,
        }
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
        let owners = Owners {
            users: many,
            groups: single,
        };
        assert!(owners.have(65_536, 0));
        assert!(!owners.have(65_537, 0) && !owners.have(0, 1));
    }

    #[test]
    fn lists_with_ids_that_do_not_exist_cannot_be_set() {
        let owners = Owners {
            users: ranges("0 1000 1\n1 100000 65536\n"),
            groups: ranges("0 1000 1\n"),
        };
        let list = |tag: u16, id: u32| {
            let mut value = vec![2, 0, 0, 0];
            for (tag, id) in [(1, u32::MAX), (tag, id)] {
                value.extend(tag.to_le_bytes());
                value.extend(7_u16.to_le_bytes());
                value.extend(id.to_le_bytes());
            }
            owners.can_set(b"system.posix_acl_access", &value)
        };
        assert!(list(LIST_USER, 65_536) && !list(LIST_USER, 65_537));
        assert!(list(LIST_GROUP, 0) && !list(LIST_GROUP, 1));
        assert!(list(0x20, u32::MAX));
        assert!(owners.can_set(b"user.x", b"") && owners.can_set(b"security.capability", b""));
        assert!(!owners.can_set(b"security.other", b""));
        assert!(!owners.all());
    }

    #[test]
    fn on_the_machine_itself_all_exist() {
        let all = ranges("         0          0 4294967295\n");
        assert_eq!(choose(&all, 0, 4_000_000_000), 0);
        assert_eq!(choose(&ranges(""), 0, 7), 0);
        let owners = Owners {
            users: all.clone(),
            groups: all,
        };
        assert!(owners.all());
    }
}
