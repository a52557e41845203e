//! A view of the file system for one Pod: everything is there, nothing that it writes is seen by anybody else.
//!
//! Made for the calling thread alone, in a mount namespace of its own: an overlay over the root whose changes live in
//! memory, an empty /tmp, and an empty folder where the server's data is. Where the kernel does not allow it (no root, no
//! namespaces) the caller goes on without, with a temporary folder of its own.

use rustix::fs::{CWD, Mode, mkdirat};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_bind_recursive, mount_change};
use rustix::process::{chdir, chroot};
use rustix::thread::UnshareFlags;
use std::ffi::CString;
use std::path::{Path, PathBuf};

/// What a Pod may write, in bytes, before its writes fail with "no space left on device".
const SCRATCH: u64 = 1 << 30;

/// Folders of the kernel that every process needs as they are.
const KERNEL: [&str; 3] = ["proc", "sys", "dev"];

/// Puts the calling thread into a view. `hidden` is a folder that must not be seen.
pub fn enter(mount_point: &Path, hidden: &Path) -> Result<(), String> {
    separate()?;
    let fail = |what: &str, e: rustix::io::Errno| format!("{what}: {e}");
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(|e| fail("private mounts", e))?;
    let options = CString::new(format!("size={SCRATCH},mode=755")).map_err(|e| e.to_string())?;
    mount("tmpfs", mount_point, "tmpfs", MountFlags::NOSUID, Some(options.as_c_str())).map_err(|e| fail("tmpfs", e))?;
    let part = |name: &str| mount_point.join(name);
    for (name, mode) in [("upper", 0o755), ("work", 0o755), ("root", 0o755), ("tmp", 0o1777), ("empty", 0o700)] {
        mkdirat(CWD, part(name), Mode::from_raw_mode(mode)).map_err(|e| fail(name, e))?;
    }
    // The process's umask may have taken bits of the sticky, world-writable mode.
    rustix::fs::chmod(part("tmp"), Mode::from_raw_mode(0o1777)).map_err(|e| fail("tmp", e))?;
    let options = format!("lowerdir=/,upperdir={},workdir={}", part("upper").display(), part("work").display());
    let options = CString::new(options).map_err(|e| e.to_string())?;
    mount("overlay", part("root"), "overlay", MountFlags::empty(), Some(options.as_c_str()))
        .map_err(|e| fail("overlay", e))?;
    let root = part("root");
    for name in KERNEL {
        mount_bind_recursive(Path::new("/").join(name), root.join(name)).map_err(|e| fail(name, e))?;
    }
    mount_bind(part("tmp"), root.join("tmp")).map_err(|e| fail("tmp", e))?;
    if let Ok(relative) = hidden.strip_prefix("/") {
        let place: PathBuf = root.join(relative);
        // Under /tmp the data is hidden already.
        if place.is_dir() {
            mount_bind(part("empty"), place).map_err(|e| fail("hiding the data directory", e))?;
        }
    }
    chroot(&root).map_err(|e| fail("chroot", e))?;
    chdir("/").map_err(|e| fail("chdir", e))
}

/// Gives the calling thread mounts, root and working directory of its own.
#[allow(unsafe_code)]
fn separate() -> Result<(), String> {
    // SAFETY: unshare is unsafe because un-sharing file descriptors or memory would break assumptions of other threads.
    // Neither is asked for here: only the mount namespace and the file-system attributes (root, cwd, umask) of this one
    // thread are separated, and no other thread relies on this thread's root or working directory.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::FS) }
        .map_err(|e| format!("own mount namespace: {e}"))
}
