//! Python with the real package: found, or made once for all test processes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use crate::checks::say;
use crate::process::Process;

/// An environment in which the programs of `interop/` run.
pub(crate) struct Python {
    interpreter: PathBuf,
}

impl Python {
    /// The environment, made if need be. Without it the test is skipped, or fails where that must not be.
    pub(crate) fn ready() -> Option<&'static Python> {
        static READY: OnceLock<Result<Python, String>> = OnceLock::new();
        match READY.get_or_init(Python::make) {
            Ok(python) => Some(python),
            Err(why) if std::env::var("CI").is_ok_and(|ci| ci == "true") => {
                panic!("the live tests against aiomas must run where CI=true, and cannot: {why}")
            }
            Err(why) => {
                say(&format!("skipped: live test against aiomas: {why}"));
                None
            }
        }
    }

    /// A program of `interop/` with its arguments, started.
    pub(crate) fn start(&self, program: &str, arguments: &[&str]) -> Process {
        let mut command = Command::new(&self.interpreter);
        command.arg(interop().join(program)).args(arguments);
        // Folders for compiled modules would stand between the sources.
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        Process::start(command).unwrap_or_else(|why| panic!("{program}: {why}"))
    }

    fn make() -> Result<Python, String> {
        let requirements = interop().join("requirements-aiomas.txt");
        let text = fs::read_to_string(&requirements).map_err(|why| format!("{}: {why}", requirements.display()))?;
        let place = target().join("python");
        fs::create_dir_all(&place).map_err(|why| format!("{}: {why}", place.display()))?;
        let folder = place.join(format!("aiomas-{:016x}", fnv1a(text.as_bytes())));
        let python = Python { interpreter: folder.join("bin/python") };

        // Other test processes, which may be at the same point, wait here. Closing the file opens the lock.
        let lock = File::create(folder.with_extension("lock")).map_err(|why| format!("lock: {why}"))?;
        lock.lock().map_err(|why| format!("lock: {why}"))?;
        let complete = folder.join("complete");
        if !complete.exists() {
            // What an interrupted attempt left behind is of no use.
            let _ = fs::remove_dir_all(&folder);
            say("python interop: installing aiomas below target/python, once");
            install(&python, &folder, &requirements)?;
            fs::write(&complete, "").map_err(|why| format!("{}: {why}", complete.display()))?;
        }
        Ok(python)
    }
}

fn install(python: &Python, folder: &Path, requirements: &Path) -> Result<(), String> {
    let make = |name: &str| {
        let mut command = Command::new(name);
        command.args(["-m", "venv"]).arg(folder);
        run(command)
    };
    make("python3.11")
        .or_else(|first| make("python3").map_err(|second| format!("python3.11: {first}; python3: {second}")))?;
    let mut pip = Command::new(&python.interpreter);
    pip.args(["-m", "pip", "install", "--no-input", "--no-deps", "--disable-pip-version-check"])
        .args(["--timeout", "15", "--retries", "1"])
        .arg("-r")
        .arg(requirements);
    run(pip).map_err(|why| format!("the registry of Python packages: {why}"))?;
    let mut trial = Command::new(&python.interpreter);
    trial.args(["-W", "ignore", "-c", "import aiomas, msgpack"]);
    run(trial).map_err(|why| format!("the package: {why}"))
}

/// Runs a program to its end, which must be a good one. The last lines of its output tell why it is not.
fn run(command: Command) -> Result<(), String> {
    let name = format!("{:?}", command.get_program());
    let process = Process::start(command).map_err(|why| format!("{name}: {why}"))?;
    match process.finish(INSTALL_WITHIN) {
        None => Err(format!("{name} took longer than {INSTALL_WITHIN:?}")),
        Some((_, status)) if status.success() => Ok(()),
        Some((lines, status)) => {
            let last = &lines[lines.len().saturating_sub(3)..];
            Err(format!("{name} ended with {status}: {}", last.join(" / ")))
        }
    }
}

/// The folder of the Python programs.
pub(crate) fn interop() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../interop")
}

/// The folder of everything that is built.
fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the folder lies in target/")
}

/// A short name for a text, the same on every machine and with every version of Rust.
fn fnv1a(bytes: &[u8]) -> u64 {
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, mix)
}

/// Longest the making of an environment may take at each of its steps.
const INSTALL_WITHIN: Duration = Duration::from_secs(120);
