//! Mounting an overlay by the old `mount` call, for kernels that do not take layers one by one.
//!
//! All options must fit in one page. Layers are therefore opened, the thread goes to the
//! directory that holds its descriptors, and their numbers are the paths.

use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::mount::{MountFlags, mount as mount_call};
use rustix::process::{chdir, fchdir};

use crate::error::{Error, Result};
use crate::namespaces::is_nested;
use crate::overlay::{Overlay, fixed_options, open_directory};

/// The size of the options, with their final zero: one page.
const MAX_OPTIONS: usize = 4096;

/// Mounts `overlay` on `target`. The calling thread must have a working directory of its own.
pub(crate) fn mount(overlay: &Overlay, target: &Path) -> Result<()> {
    let open = |path: &PathBuf| -> Result<OwnedFd> {
        open_directory(path).map_err(|errno| Error::of("mount an overlay with", path, errno))
    };
    let lowers = overlay
        .lowers
        .iter()
        .map(open)
        .collect::<Result<Vec<_>>>()?;
    let data = overlay.data.iter().map(open).collect::<Result<Vec<_>>>()?;
    let upper = match &overlay.upper {
        Some(upper) => Some((open(&upper.directory)?, open(&upper.work)?)),
        None => None,
    };
    let options = options(overlay, &lowers, &data, upper.as_ref())?;
    let flags = match upper {
        Some(_) => MountFlags::empty(),
        None => MountFlags::RDONLY,
    };
    let target = std::path::absolute(target)
        .map_err(|source| Error::of("find", target.to_path_buf(), source))?;
    in_descriptor_directory(|| {
        mount_call("overlay", &target, "overlay", flags, options.as_c_str())
            .map_err(|errno| Error::of("mount an overlay on", &target, errno))
    })
}

fn options(
    overlay: &Overlay,
    lowers: &[OwnedFd],
    data: &[OwnedFd],
    upper: Option<&(OwnedFd, OwnedFd)>,
) -> Result<CString> {
    let names: Vec<String> = lowers.iter().map(|fd| fd.as_raw_fd().to_string()).collect();
    let data = data.iter().map(|fd| format!("::{}", fd.as_raw_fd()));
    let data: String = data.collect();
    let mut options = vec![format!("lowerdir={}{data}", names.join(":"))];
    if let Some((directory, work)) = upper {
        options.push(format!("upperdir={}", directory.as_raw_fd()));
        options.push(format!("workdir={}", work.as_raw_fd()));
        if overlay.volatile {
            options.push("volatile".to_owned());
        }
    }
    let nested = is_nested();
    options.extend(fixed_options(nested).map(|(key, value)| format!("{key}={value}")));
    if nested {
        options.push("userxattr".to_owned());
    }
    let options = options.join(",");
    if options.len() >= MAX_OPTIONS {
        return Err(Error::TooManyLayers {
            count: lowers.len(),
            limit: MAX_OPTIONS / (names.last().map_or(1, String::len) + 1),
        });
    }
    CString::new(options).map_err(|_| Error::Invalid("an option of the overlay has a zero byte"))
}

/// Runs `mount` where the numbers of open descriptors are paths.
fn in_descriptor_directory(mount: impl FnOnce() -> Result<()>) -> Result<()> {
    let failed = |errno| Error::of("go to", "/proc/self/fd", errno);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let before = rustix::fs::open(".", flags, rustix::fs::Mode::empty()).map_err(failed)?;
    chdir("/proc/self/fd").map_err(failed)?;
    let result = mount();
    fchdir(&before).map_err(failed)?;
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MountNamespace;

    #[test]
    fn descriptors_serve_as_paths() {
        let Ok(namespace) = MountNamespace::new() else {
            assert!(std::env::var_os("CI").is_none(), "CI runs this as root");
            eprintln!("skipped: needs CAP_SYS_ADMIN");
            return;
        };
        let top = tempfile::tempdir().unwrap();
        let mut lowers = Vec::new();
        for number in 0..300 {
            let lower = top.path().join(format!("lower-with-a-long-name-{number}"));
            std::fs::create_dir(&lower).unwrap();
            std::fs::write(lower.join(number.to_string()), "").unwrap();
            lowers.push(lower);
        }
        let target = top.path().join("target");
        std::fs::create_dir(&target).unwrap();
        let (overlay, mounted) = (
            Overlay {
                lowers,
                ..Overlay::default()
            },
            target.clone(),
        );
        let seen = namespace
            .call(move || {
                mount(&overlay, &mounted)?;
                Ok::<_, Error>(std::fs::read_dir(&mounted).unwrap().count())
            })
            .unwrap()
            .unwrap();
        assert_eq!(seen, 300);
        assert_eq!(std::fs::read_dir(&target).unwrap().count(), 0);
    }
}
