//! Where the two ends of a test meet.

use peerage::Address;
use tempfile::TempDir;

/// Which kind of socket.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Transport {
    Tcp,
    Unix,
}

/// A folder for the sockets of one test, removed with all that is in it.
pub(crate) struct Place {
    transport: Transport,
    folder: TempDir,
}

impl Place {
    pub(crate) fn new(transport: Transport) -> Place {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Place { transport, folder }
    }

    /// An address to listen at: any free port, or a socket file of this name.
    pub(crate) fn free(&self, name: &str) -> Address {
        match self.transport {
            Transport::Tcp => "tcp://127.0.0.1:0".parse().unwrap(),
            Transport::Unix => Address::unix(self.folder.path().join(name)).unwrap(),
        }
    }
}

/// The address as the Python programs take it: `host:port` or `unix:/path`.
pub(crate) fn in_python(address: &Address) -> String {
    match address.path() {
        Some(path) => format!("unix:{}", path.display()),
        None => format!("{}:{}", address.host().unwrap(), address.port().unwrap()),
    }
}

/// The address that a Python program prints.
pub(crate) fn from_python(text: &str) -> Address {
    match text.strip_prefix("unix:") {
        Some(path) => Address::unix(path).unwrap(),
        None => format!("tcp://{text}").parse().unwrap(),
    }
}
