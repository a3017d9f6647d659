//! What the library logs, for tests that want a reason to be there.

use std::io;
use std::sync::{Mutex, Once};

use tracing_subscriber::fmt::MakeWriter;

/// Keeps what is logged from here on.
pub(crate) fn keep() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_ansi(false).with_writer(Kept).init();
    });
}

/// Whether a line about the link to this remote address holds this text. Ports are used again by other tests of this
/// process, so the address alone does not find the line.
pub(crate) fn tells(remote: &str, text: &str) -> bool {
    let log = LOG.lock().unwrap();
    let marked = format!("remote={remote} ");
    log.lines().any(|line| line.contains(&marked) && line.contains(text))
}

/// Where log lines of this process go.
#[derive(Clone, Copy)]
struct Kept;

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap().push_str(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Kept {
    type Writer = Kept;

    fn make_writer(&self) -> Kept {
        *self
    }
}

static LOG: Mutex<String> = Mutex::new(String::new());
