//! Faults under the running server: what it answers while they last, and what is there
//! afterwards.

use std::{fs, io::Write as _, path::Path, time::Duration};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::{
    Engines, Tally, each,
    injector::Injector,
    rig::Rig,
    volume::{Memory, Volume},
    writers::PATIENCE,
};
use crate::subject::{TICKET, Tenantry};

/// `torture faults`
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Rounds of each fault and engine
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    #[command(flatten)]
    engines: Engines,
    /// Only these: syncs, sync, writes, reads, full, backing
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Where file systems are made
    #[arg(long, default_value = "/dev/shm")]
    folder: std::path::PathBuf,
}

/// What fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Every sync answers EIO.
    Syncs,
    /// One sync answers EIO, and those after it succeed.
    Sync,
    /// Every write to a file of the store answers EIO.
    Writes,
    /// Every read from a file of the store answers EIO.
    Reads,
    /// No space is left on the file system.
    Full,
    /// What was written is lost on its way to the device: its backing store is full.
    Backing,
}

impl Fault {
    const ALL: [(&'static str, Fault); 6] = [
        ("syncs", Fault::Syncs),
        ("sync", Fault::Sync),
        ("writes", Fault::Writes),
        ("reads", Fault::Reads),
        ("full", Fault::Full),
        ("backing", Fault::Backing),
    ];

    /// What strace is told; none where no system call is touched.
    fn injected(self) -> Option<&'static str> {
        match self {
            Fault::Syncs => Some("fsync,fdatasync:error=EIO"),
            Fault::Sync => Some("fsync,fdatasync:error=EIO:when=3"),
            Fault::Writes => Some("pwrite64,write,writev:error=EIO"),
            Fault::Reads => Some("pread64,read,readv:error=EIO"),
            Fault::Full | Fault::Backing => None,
        }
    }
}

/// The caches as small as they may be, so that reads come from the files.
const SMALL: [(&str, &str); 2] = [
    ("TENANTRY_STORE__CACHE_BYTES", "8388608"),
    ("TENANTRY_STORE__RECORD_CACHE_BYTES", "0"),
];
/// How long is written before, during and after.
const BEFORE: Duration = Duration::from_millis(400);
const DURING: Duration = Duration::from_secs(4);
/// Records beside those that are written all the time.
const FILLER: usize = 8_000;
/// No page has more than this part of the records that are written all the time.
const PAGE_PART: usize = 4;
/// Megabytes of a device, and of the memory behind one that has less than it says.
const DEVICE_MB: u64 = 256;
const BACKING_MB: u64 = 48;

/// Runs each fault under each engine.
pub fn run(options: &Options) -> Result<()> {
    let wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|o| o == name);
    if let Some(unknown) = options
        .only
        .iter()
        .find(|o| Fault::ALL.iter().all(|(n, _)| n != o))
    {
        bail!("there is no fault {unknown:?}");
    }
    each(&options.engines.engine, |engine| {
        let mut tally = Tally::new(format!("faults, {engine}"));
        for (name, fault) in Fault::ALL.into_iter().filter(|(name, _)| wanted(name)) {
            for round in 1..=options.rounds {
                let (saw, wrong) = Trial::run(options, engine, fault)
                    .with_context(|| format!("{engine}, {name}, round {round}"))?;
                tally.round(&format!("{name:8}"), &saw, &wrong);
            }
        }
        tally.sum()
    })
}

/// One fault under one server.
struct Trial {
    rig: Rig,
    fault: Fault,
    /// Whether what the failed write had begun may be out of reach until a restart, as
    /// with sled.
    leaves_pages: bool,
    wrong: Vec<String>,
    saw: Vec<String>,
}

impl Trial {
    fn run(options: &Options, engine: &str, fault: Fault) -> Result<(String, Vec<String>)> {
        let folder = tempfile::tempdir_in(&options.folder)?;
        // Fields go in this order: what lies on another one goes first.
        let backing = match fault {
            Fault::Backing => Some(Memory::new(&folder.path().join("backing"), BACKING_MB)?),
            _ => None,
        };
        let place = backing
            .as_ref()
            .map_or(folder.path(), |memory| &memory.mounted_at);
        let mut volume = Volume::new(place, DEVICE_MB)?;
        let env: &[_] = if fault == Fault::Reads { &SMALL } else { &[] };
        let rig = Rig::new(Tenantry::new(engine)?, TICKET, &volume.mounted_at, env)?;
        let mut trial = Self {
            rig,
            fault,
            leaves_pages: engine == "sled",
            wrong: Vec::new(),
            saw: Vec::new(),
        };
        let done = trial.carry_out(&mut volume);
        let Self {
            rig, wrong, saw, ..
        } = trial;
        if done.is_err() || !wrong.is_empty() {
            let log = rig.bench.folder.path().join("log");
            let log = fs::read_to_string(log).unwrap_or_default();
            // The first errors tell most.
            let errors = log.lines().filter(|line| !line.contains(" INFO "));
            eprintln!("{}", errors.take(20).collect::<Vec<_>>().join("\n"));
        }
        drop(rig);
        drop(volume);
        drop(backing);
        done?;
        Ok((saw.join(", "), wrong))
    }

    fn carry_out(&mut self, volume: &mut Volume) -> Result<()> {
        if self.fault == Fault::Reads {
            self.rig.fill(FILLER)?;
        }
        self.rig.load(BEFORE, |_| Ok(()))?;
        self.refused(&[])?;
        let ballast = volume.mounted_at.join("ballast");
        let injector = match (self.fault.injected(), self.fault) {
            (Some(what), _) => {
                let store = self.rig.bench.folder.path().join("data/store");
                Some(Injector::attach(self.rig.process()?.id(), what, &store)?)
            }
            (None, Fault::Full) => {
                fill_up(&ballast)?;
                None
            }
            _ => {
                // More than there is behind the device, which shows only when it is
                // written back. What becomes of the ballast is nobody's concern.
                let mut file = fs::File::create(&ballast)?;
                file.write_all(&vec![b'x'; (BACKING_MB as usize) << 20])?;
                let _ = file.sync_all();
                None
            }
        };
        self.during()?;
        drop(injector);
        match self.fault {
            Fault::Full => fs::remove_file(&ballast)?,
            Fault::Backing => volume.enlarge_backing(BACKING_MB * 8)?,
            _ => {}
        }
        self.without_restart()?;
        if self.fault == Fault::Backing {
            // The file system has given up as well.
            volume.mount_again()?;
        }
        self.with_restart()
    }

    /// While it lasts.
    fn during(&mut self) -> Result<()> {
        let answered = self.rig.load(DURING, |_| Ok(()))?;
        let refusals = self.rig.shared.refusals.borrow().len();
        self.saw.push(format!(
            "{answered} writes acknowledged and {refusals} refused while it lasted"
        ));
        self.refused(&[503])?;
        let (status, health) = self.rig.probe("/healthz")?;
        self.demand(status == 200, || format!("/healthz: {status} {health}"));
        let found = self.rig.found()?;
        let unread = found.iter().filter(|found| found.state.is_err()).count();
        self.saw
            .push(format!("{unread} of {} reads refused", found.len()));
        // sled's readers finish the split of a page that the failed write began, and cannot
        // where nothing can be written: that page is out of reach until the restart. So is a
        // value of several pieces in whose writing a read failed.
        let may_fail = match self.fault {
            Fault::Reads => true,
            _ => self.leaves_pages && unread * PAGE_PART < found.len(),
        };
        for found in &found {
            let refused = may_fail && found.is_refused();
            self.wrong.extend(found.wrong().filter(|_| !refused));
        }
        let (ready, reasons) = self.rig.probe("/readyz")?;
        match self.fault {
            // Some syncs nobody waits for.
            Fault::Sync => {}
            Fault::Reads => {
                self.demand(unread > 0, || "no read failed: the fault never came".into())
            }
            _ => {
                self.demand(refusals > 0, || {
                    "no write was refused: the fault never came".into()
                });
                let told = ready == 503
                    && reasons["reasons"][0]
                        .as_str()
                        .is_some_and(|r| !r.is_empty());
                self.demand(told, || format!("/readyz: {ready} {reasons}"));
            }
        }
        if matches!(self.fault, Fault::Syncs | Fault::Writes) {
            self.demand(answered == 0, || {
                format!("{answered} writes were acknowledged")
            });
        }
        Ok(())
    }

    /// When it is over, up to the server's end.
    fn without_restart(&mut self) -> Result<()> {
        let answered = self.rig.load(BEFORE, |_| Ok(()))?;
        let needs_restart = !self.rig.shared.refusals.borrow().is_empty();
        self.refused(&[503])?;
        self.saw.push(match needs_restart {
            true => "needs a restart".into(),
            false => format!("goes on by itself ({answered} writes)"),
        });
        for found in self.rig.found()? {
            let refused = self.leaves_pages && found.is_refused();
            self.wrong.extend(found.wrong().filter(|_| !refused));
        }
        let ended = self.rig.process()?.terminate(PATIENCE)?;
        self.demand(ended, || "SIGTERM did not end the server well".into());
        self.rig.process()?.kill()
    }

    /// And with a new start.
    fn with_restart(&mut self) -> Result<()> {
        self.rig.bench.start()?;
        let wrong = self.rig.wrong()?;
        self.wrong.extend(wrong);
        let (ready, reasons) = self.rig.probe("/readyz")?;
        self.demand(ready == 200, || format!("/readyz: {ready} {reasons}"));
        self.rig.load(BEFORE, |_| Ok(()))?;
        self.refused(&[])
    }

    /// Every write was answered, and what was refused has one of these statuses and says why.
    fn refused(&mut self, allowed: &[u16]) -> Result<()> {
        let mut wrong: Vec<String> = Vec::new();
        for refusal in self.rig.shared.refusals.borrow().iter() {
            let says = refusal.body["detail"]
                .as_str()
                .is_some_and(|d| !d.is_empty());
            let line = format!(
                "a write was answered {} {}",
                refusal.status,
                without_id(&refusal.body)
            );
            let fine = says && allowed.contains(&refusal.status);
            if !fine && !wrong.contains(&line) {
                wrong.push(line);
            }
        }
        self.wrong.extend(wrong);
        Ok(())
    }

    fn demand(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.wrong.push(otherwise());
        }
    }
}

/// A problem without what differs each time.
fn without_id(problem: &Value) -> Value {
    let mut problem = problem.clone();
    if let Some(members) = problem.as_object_mut() {
        members.remove("request_id");
    }
    problem
}

/// Takes all the space that there is.
fn fill_up(ballast: &Path) -> Result<()> {
    let mut file = fs::File::create(ballast)?;
    for bytes in [1 << 20, 4096] {
        let block = vec![b'x'; bytes];
        while file
            .write_all(&block)
            .and_then(|()| file.sync_data())
            .is_ok()
        {}
    }
    Ok(())
}
