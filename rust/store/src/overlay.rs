//! What overlayfs writes into its layers: whiteouts, opaque directories and marks of its own.

use fastlayer_fs::xattr::Attributes;

/// Where an overlay mount keeps its marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverlayNamespace {
    /// `trusted.overlay.`: mounts of a privileged user.
    Trusted,
    /// `user.overlay.`: mounts with `userxattr`.
    User,
}

const TRUSTED: &[u8] = b"trusted.overlay.";
const USER: &[u8] = b"user.overlay.";
/// Attributes that describe the machine a file lies on, not the file.
const LOCAL: [&[u8]; 3] = [b"security.selinux", b"security.ima", b"security.evm"];

impl OverlayNamespace {
    /// The one that this process can mount with: only in the initial user namespace, and with
    /// privilege, is it the trusted one.
    #[must_use]
    pub fn of_process() -> Self {
        const ALL: &str = "0 0 4294967295";
        let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        let initial = map.split_whitespace().collect::<Vec<_>>().join(" ") == ALL;
        if initial && rustix::process::geteuid().is_root() {
            Self::Trusted
        } else {
            Self::User
        }
    }

    /// What names this kind among the store's directories.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::User => "user",
        }
    }

    fn prefix(self) -> &'static [u8] {
        match self {
            Self::Trusted => TRUSTED,
            Self::User => USER,
        }
    }

    /// The full name of a mark.
    #[must_use]
    pub fn name(self, mark: &[u8]) -> Vec<u8> {
        [self.prefix(), mark].concat()
    }

    /// The value of a mark among a file's attributes.
    pub(crate) fn mark<'a>(self, attributes: &'a Attributes, mark: &[u8]) -> Option<&'a [u8]> {
        attributes.get(&self.name(mark)).map(Vec::as_slice)
    }
}

/// Whether an attribute belongs to the file and not to overlayfs or to this machine: only such
/// ones go into layers, into checkouts and into comparisons.
pub(crate) fn is_portable(name: &[u8]) -> bool {
    !name.starts_with(b"trusted.") && !name.starts_with(USER) && !LOCAL.contains(&name)
}

/// The attributes that belong to the file.
pub(crate) fn portable(mut attributes: Attributes) -> Attributes {
    attributes.retain(|name, _| is_portable(name));
    attributes
}
