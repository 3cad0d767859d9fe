//! File systems of our own: an ext4 image behind a loop device, or a small tmpfs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::installed::done;

/// How long is waited until nothing is being written to the image any more.
const QUIET_MAX: Duration = Duration::from_secs(20);

/// An ext4 file system in a file, mounted through a loop device.
pub struct Volume {
    image: PathBuf,
    pub mounted_at: PathBuf,
    device: Option<String>,
}

/// Runs one of the system's tools.
fn tool(name: &str, args: &[&str]) -> Result<Vec<u8>> {
    done(Command::new(name).args(args))
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

impl Volume {
    /// A fresh file system of so many megabytes in `folder`, mounted there.
    pub fn new(folder: &Path, megabytes: u64) -> Result<Self> {
        let (image, mounted_at) = (folder.join("disk.img"), folder.join("disk"));
        fs::create_dir_all(&mounted_at)?;
        fs::File::create(&image)?.set_len(megabytes << 20)?;
        tool("mkfs.ext4", &["-q", "-F", "-b", "4096", &text(&image)])?;
        let mut volume = Self {
            image,
            mounted_at,
            device: None,
        };
        volume.mount()?;
        Ok(volume)
    }

    /// Gives the tmpfs that the image lies on so many megabytes.
    pub fn enlarge_backing(&self, megabytes: u64) -> Result<()> {
        let folder = self.image.parent().context("no folder")?;
        let size = format!("remount,size={megabytes}m");
        tool("mount", &["-o", &size, &text(folder)]).map(drop)
    }

    fn mount(&mut self) -> Result<()> {
        let device = tool("losetup", &["--find", "--show", &text(&self.image)])
            .context("a loop device; this needs root")?;
        let device = String::from_utf8(device)?.trim().to_owned();
        // The loop driver calls a write done that its file took only a part of, which
        // happens where the file is out of room. One page is taken whole or refused, so
        // blocks and requests are of that size.
        let name = device.rsplit('/').next().unwrap_or_default();
        let path = format!("/sys/block/{name}/queue/max_sectors_kb");
        fs::write(&path, "4").context(path)?;
        let mounted = tool("mount", &[&device, &text(&self.mounted_at)]);
        self.device = Some(device);
        mounted.map(drop)
    }

    fn unmount(&mut self) -> Result<()> {
        let Some(device) = self.device.take() else {
            return Ok(());
        };
        let unmounted = tool("umount", &[&text(&self.mounted_at)]);
        tool("losetup", &["--detach", &device])?;
        unmounted.map(drop)
    }

    /// Unmounts and mounts it.
    pub fn mount_again(&mut self) -> Result<()> {
        self.unmount()?;
        self.mount()
    }

    /// Writes that the device has carried out, and those that are under way.
    fn writes(&self) -> Result<(u64, u64)> {
        let device = self.device.as_deref().unwrap_or_default();
        let name = device.rsplit('/').next().unwrap_or_default();
        let path = format!("/sys/block/{name}/stat");
        let stat = fs::read_to_string(&path).context(path)?;
        let fields = stat.split_whitespace().map(str::parse::<u64>);
        let fields = fields.collect::<Result<Vec<_>, _>>()?;
        match fields.get(..9) {
            Some(fields) => Ok((fields[4], fields[8])),
            None => bail!("a stat of {} fields", fields.len()),
        }
    }

    /// Copies the image as it is on the device at one moment: what the mounted file
    /// system keeps in memory is not in it. Whoever writes has to be frozen. The system's
    /// own threads may still write; then the copy is made again.
    fn copy(&self, to: &Path) -> Result<()> {
        let began = Instant::now();
        loop {
            let before = self.writes()?;
            tool("cp", &["--sparse=always", &text(&self.image), &text(to)])?;
            if before.1 == 0 && before == self.writes()? {
                return Ok(());
            }
            if began.elapsed() > QUIET_MAX {
                bail!("the device is written to without end");
            }
        }
    }

    /// Cuts the power: what the device has at this moment is all that is left, and is
    /// mounted. `frozen` ends whoever was frozen meanwhile.
    pub fn cut(&mut self, end: impl FnOnce() -> Result<()>) -> Result<()> {
        let copy = self.image.with_extension("copy");
        self.copy(&copy)?;
        end()?;
        self.unmount()?;
        fs::rename(&copy, &self.image)?;
        self.mount()
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        if let Err(error) = self.unmount() {
            eprintln!("{error:#}");
        }
    }
}

/// A tmpfs.
pub struct Memory {
    pub mounted_at: PathBuf,
}

impl Memory {
    /// Of so many megabytes at `at`.
    pub fn new(at: &Path, megabytes: u64) -> Result<Self> {
        fs::create_dir_all(at)?;
        let size = format!("size={megabytes}m");
        tool("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", &text(at)])
            .context("mounting a tmpfs; this needs root")?;
        Ok(Self {
            mounted_at: at.into(),
        })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if let Err(error) = tool("umount", &[&text(&self.mounted_at)]) {
            eprintln!("{error:#}");
        }
    }
}
