//! A server's process: started, measured, stopped.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

const PATIENCE: Duration = Duration::from_secs(30);
/// Ticks a second in `/proc/PID/stat`, the same on every Linux that is met.
const TICKS: f64 = 100.0;

/// A running server.
pub struct Process {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

/// An address nobody listens on.
pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

impl Process {
    /// Starts a server and waits until it takes connections; its outputs go to a file.
    pub fn start(mut command: Command, address: SocketAddr, log: &Path) -> Result<Self> {
        let log = fs::File::create(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("{command:?}"))?;
        let mut process = Self { child, address };
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = process.child.try_wait()? {
                bail!("{command:?} ended with {status}");
            }
            if started.elapsed() > PATIENCE {
                bail!("{command:?} does not listen");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(process)
    }

    /// The process's number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name, without the SIG.
    pub fn signal(&self, name: &str) -> Result<()> {
        let pid = self.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status()?;
        match sent.success() {
            true => Ok(()),
            false => bail!("kill -s {name} {pid}: {sent}"),
        }
    }

    /// Stops every thread where it is; what the system does for one of them just now
    /// it does to the end.
    pub fn freeze(&self) -> Result<()> {
        self.signal("STOP")?;
        let began = Instant::now();
        while !self.is_frozen()? {
            if began.elapsed() > PATIENCE {
                bail!("the process does not stop");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn is_frozen(&self) -> Result<bool> {
        let tasks = format!("/proc/{}/task", self.id());
        for task in fs::read_dir(&tasks).context(tasks)? {
            // A thread may end meanwhile.
            let Ok(stat) = fs::read_to_string(task?.path().join("stat")) else {
                continue;
            };
            let (_, rest) = stat.rsplit_once(')').context("no stat")?;
            if !rest.trim_start().starts_with('T') {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Ends it by SIGKILL and waits for its end.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end and waits; whether it ended well within this time.
    pub fn terminate(&mut self, patience: Duration) -> Result<bool> {
        self.signal("TERM")?;
        let began = Instant::now();
        while began.elapsed() < patience {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.success());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(false)
    }

    fn proc(&self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.child.id());
        fs::read_to_string(&path).context(path)
    }

    /// Resident memory in megabytes.
    pub fn resident_mb(&self) -> Result<f64> {
        let status = self.proc("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next());
        Ok(kib.context("no VmRSS")?.parse::<f64>()? / 1024.0)
    }

    /// Seconds of the processors used so far.
    pub fn cpu_s(&self) -> Result<f64> {
        let stat = self.proc("stat")?;
        let (_, rest) = stat.rsplit_once(')').context("no stat")?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
        let (user, system) = (ticks(11), ticks(12));
        Ok((user.context("no utime")? + system.context("no stime")?) / TICKS)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Megabytes that a folder's files take on the disk.
pub fn disk_mb(folder: &Path) -> f64 {
    folder_bytes(folder) as f64 / f64::from(1 << 20)
}

fn folder_bytes(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => folder_bytes(&entry.path()),
        Ok(meta) => meta.blocks() * 512,
        Err(_) => 0,
    });
    sizes.sum()
}

/// The median time in milliseconds of appending 1 KiB and `fdatasync`, which is
/// what no durable write can be faster than.
pub fn flush_ms(folder: &Path) -> Result<f64> {
    use std::io::Write as _;
    let mut file = fs::File::create(folder.join("flush-probe"))?;
    let mut times = Vec::new();
    for _ in 0..200 {
        file.write_all(&[b'x'; 1024])?;
        let started = Instant::now();
        file.sync_data()?;
        times.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}
