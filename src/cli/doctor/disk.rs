//! The disk below the data folder: its room, its kind, its speed, and whether what is
//! synced reaches it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::finding::Finding;

const MIB: u64 = 1 << 20;
/// With less than this a compaction, a backup or a busy day may not fit.
const ROOM_WARN: u64 = 2048 * MIB;
const ROOM_FAIL: u64 = 256 * MIB;
/// What a small write of the engine's log takes.
const BLOCK_BYTES: usize = 4096;
/// Syncs to measure, unless the time is over before.
const SYNCS: usize = 100;
const SYNCING: Duration = Duration::from_secs(2);
/// No disk syncs faster: whoever answers has not asked it.
const TOO_FAST: Duration = Duration::from_micros(8);
const SLOW: Duration = Duration::from_millis(30);

/// How much room there is.
pub fn space(data: &Path) -> Finding {
    let stat = match rustix::fs::statvfs(data) {
        Ok(stat) => stat,
        Err(error) => {
            let found = format!("{} cannot be asked: {error}", data.display());
            return Finding::fail("disk space", found, "look at the disk and its mount");
        }
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let total = stat.f_blocks.saturating_mul(stat.f_frsize);
    let found = format!("{} MiB free of {} MiB", free / MIB, total / MIB);
    let advice = "make room or grow the disk; `tenantry store compact` gives back what the engine no longer needs. A full disk stops all writes";
    match free {
        free if free < ROOM_FAIL => Finding::fail("disk space", found, advice),
        free if free < ROOM_WARN || free < total / 20 => Finding::warn("disk space", found, advice),
        _ => Finding::ok("disk space", found),
    }
}

/// The file system that the folder is on.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    kind: String,
    options: String,
}

/// What kind of file system it is, and whether it is told not to wait for the disk.
pub fn mount(data: &Path) -> Finding {
    const CHECK: &str = "file system";
    let mounts = fs::read_to_string("/proc/self/mountinfo");
    let mount = mounts.and_then(|text| Ok((text, data.canonicalize()?)));
    let mount = mount.map(|(text, data)| mount_of(&text, &data));
    match mount {
        Ok(Some(mount)) => judge_mount(&mount),
        _ => Finding::ok(CHECK, "not known here"),
    }
}

fn judge_mount(mount: &Mount) -> Finding {
    const CHECK: &str = "file system";
    let Mount { kind, options } = mount;
    let found = format!("{kind} ({options})");
    let has = |option: &str| options.split(',').any(|o| o == option);
    match kind.as_str() {
        "tmpfs" | "ramfs" => Finding::fail(
            CHECK,
            found,
            "this is memory: a restart of the machine loses everything; move the data folder to a disk",
        ),
        "nfs" | "nfs4" | "cifs" | "smb3" | "9p" | "ceph" | "glusterfs" => Finding::warn(
            CHECK,
            found,
            "locks and syncs are as good as the network and the other machine; prefer a local disk",
        ),
        "overlay" | "aufs" => Finding::warn(
            CHECK,
            found,
            "this looks like a container's own layer, which goes with the container; put the data folder on a volume",
        ),
        _ if has("nobarrier") || has("barrier=0") => Finding::fail(
            CHECK,
            found,
            "without barriers a power cut loses what was synced; mount it without this option",
        ),
        _ if has("ro") => Finding::fail(CHECK, found, "mount it for writing"),
        _ => Finding::ok(CHECK, found),
    }
}

/// The mount of a folder: the last one listed of those with the longest path above it.
fn mount_of(mountinfo: &str, folder: &Path) -> Option<Mount> {
    let mut found: Option<(usize, Mount)> = None;
    for line in mountinfo.lines() {
        // 36 35 98:0 /root /mount/point rw,noatime master:1 - ext4 /dev/root rw,errors=continue
        let (left, right) = line.split_once(" - ")?;
        let left: Vec<&str> = left.split(' ').collect();
        let right: Vec<&str> = right.split(' ').collect();
        let (Some(point), Some(own), Some(kind)) = (left.get(4), left.get(5), right.first()) else {
            continue;
        };
        // A space in a path is written as an octal escape.
        let point = PathBuf::from(point.replace("\\040", " "));
        let depth = point.components().count();
        if folder.starts_with(&point) && found.as_ref().is_none_or(|(before, _)| depth >= *before) {
            let super_options = right.get(2).copied().unwrap_or_default();
            let mount = Mount {
                kind: (*kind).to_owned(),
                options: format!("{own},{super_options}"),
            };
            found = Some((depth, mount));
        }
    }
    found.map(|(_, mount)| mount)
}

/// How long a small write takes until it is on the disk. The store answers no write
/// sooner.
pub fn sync_speed(data: &Path) -> Finding {
    const CHECK: &str = "disk sync";
    let mut times = match measure(data) {
        Ok(times) => times,
        Err(error) => {
            let found = format!("nothing can be written in {}: {error}", data.display());
            return Finding::fail(
                CHECK,
                found,
                "look at the disk, its mount and the folder's owner",
            );
        }
    };
    times.sort_unstable();
    let (median, slowest) = (times[times.len() / 2], times[times.len() - 1]);
    judge_speed(median, slowest)
}

fn judge_speed(median: Duration, slowest: Duration) -> Finding {
    const CHECK: &str = "disk sync";
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let found = format!(
        "{BLOCK_BYTES} bytes are on the disk after {:.3} ms (median; slowest {:.1} ms)",
        ms(median),
        ms(slowest)
    );
    if median < TOO_FAST {
        return Finding::fail(
            CHECK,
            found,
            "no disk is so fast: fsync does not reach one. Look for libeatmydata, a disk in memory, or a hypervisor's `cache=unsafe`; a power cut would lose acknowledged writes",
        );
    }
    if median > SLOW {
        return Finding::warn(
            CHECK,
            found,
            "every write waits for this; use an SSD, or look at who else uses the disk",
        );
    }
    Finding::ok(CHECK, found)
}

/// Times of a write with its sync; at least one.
fn measure(data: &Path) -> io::Result<Vec<Duration>> {
    let path = data.join(format!("doctor-{}.tmp", std::process::id()));
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).open(&path)?;
    let times = syncs(file);
    fs::remove_file(&path)?;
    times
}

fn syncs(mut file: File) -> io::Result<Vec<Duration>> {
    let (block, begun) = ([b'x'; BLOCK_BYTES], Instant::now());
    let mut times = Vec::new();
    // The first one makes the file's own entry durable too, and is no measure.
    file.write_all(&block)?;
    file.sync_all()?;
    while times.len() < SYNCS && (times.is_empty() || begun.elapsed() < SYNCING) {
        let started = Instant::now();
        file.rewind()?;
        file.write_all(&block)?;
        file.sync_data()?;
        times.push(started.elapsed());
    }
    Ok(times)
}

/// The newest change of a file of the store, in seconds since 1970.
pub fn newest_change_s(folder: &Path) -> Option<i64> {
    let files = fs::read_dir(folder).ok()?.flatten();
    files
        .filter_map(|file| {
            let meta = file.metadata().ok()?;
            let below = meta
                .is_dir()
                .then(|| newest_change_s(&file.path()))
                .flatten();
            below.max(Some(meta.mtime()))
        })
        .max()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::super::finding::Status;
    use super::*;

    const MOUNTS: &str = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,nobarrier
30 22 0:25 / /tmp rw - tmpfs tmpfs rw,size=10%
31 22 0:26 / /srv/my\\040data rw - nfs4 host:/x rw
32 22 0:27 / /srv/data rw - xfs /dev/vdb rw,attr2
";

    #[test]
    fn the_mount_above_a_folder_is_judged() {
        for (folder, status) in [
            ("/var/lib/tenantry", Status::Fail),
            ("/tmp/data", Status::Fail),
            ("/tmpdata", Status::Fail),
            ("/srv/my data/x", Status::Warn),
            ("/srv/data/x", Status::Ok),
        ] {
            let mount = mount_of(MOUNTS, Path::new(folder)).unwrap();
            assert_eq!(judge_mount(&mount).status, status, "{folder} {mount:?}");
        }
        assert_eq!(
            mount_of(MOUNTS, Path::new("/tmpdata")).unwrap().kind,
            "ext4"
        );
    }

    #[test]
    fn syncs_too_fast_and_too_slow_are_told() {
        let judged = |us| judge_speed(Duration::from_micros(us), Duration::from_micros(us)).status;
        assert_eq!(judged(2), Status::Fail);
        assert_eq!(judged(200), Status::Ok);
        assert_eq!(judged(50_000), Status::Warn);
    }

    #[test]
    fn measuring_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!measure(dir.path()).unwrap().is_empty());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let gone = sync_speed(&dir.path().join("gone"));
        assert_eq!(gone.status, Status::Fail);
    }
}
