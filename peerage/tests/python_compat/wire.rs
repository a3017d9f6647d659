//! Frames and sockets without Peerage's channels: what the tests write to provoke, and read to be sure.

use std::io;

use peerage::{Address, Encoding, Payload, Value};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

/// A connected socket of any kind.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Connects to an address.
pub(crate) async fn dial(address: &Address) -> io::Result<Box<dyn Stream>> {
    match address.path() {
        Some(path) => Ok(Box::new(UnixStream::connect(path).await?)),
        None => {
            let (host, port) = (address.host().unwrap().to_string(), address.port().unwrap());
            Ok(Box::new(TcpStream::connect((host, port)).await?))
        }
    }
}

/// A frame around a body.
pub(crate) fn frame(body: &[u8]) -> Vec<u8> {
    let mut frame = (body.len() as u32).to_be_bytes().to_vec();
    frame.extend_from_slice(body);
    frame
}

/// A frame that holds a triple.
pub(crate) fn triple(encoding: Encoding, kind: u8, id: u64, content: &Value) -> Vec<u8> {
    let mut body = Vec::new();
    encoding.put_head(kind, id, &mut body);
    body.extend_from_slice(Payload::encode(content, encoding).unwrap().bytes());
    encoding.put_tail(&mut body);
    frame(&body)
}

/// The next frame, length included; `None` when the peer closes between two frames, in order or not.
pub(crate) async fn read_frame(stream: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut frame = vec![0; 4];
    stream.read_exact(&mut frame).await.ok()?;
    let length = u32::from_be_bytes(frame[..4].try_into().unwrap()) as usize;
    frame.resize(4 + length, 0);
    stream.read_exact(&mut frame[4..]).await.expect("a frame that has begun is written to its end");
    Some(frame)
}

/// Kind, id and content of a frame.
pub(crate) fn open(encoding: Encoding, frame: &[u8]) -> (u64, u64, Payload) {
    let body = &frame[4..];
    let triple = encoding.split(body).unwrap();
    let content = body[triple.content].to_vec();
    (triple.kind, triple.id, Payload::from_parts(encoding, content.into()))
}

/// Writes bytes to a peer that may already be gone.
pub(crate) async fn write(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) {
    // The answers, or their absence, are what a test looks at.
    let _ = stream.write_all(bytes).await;
}

/// Bytes from their digits.
pub(crate) fn from_hex(digits: &str) -> Vec<u8> {
    let pairs = (0..digits.len()).step_by(2);
    pairs.map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

/// Digits of bytes.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the real package has written, as `peerage-proto/tests/vectors/aiomas.json` keeps it.
pub(crate) fn vectors() -> serde_json::Value {
    serde_json::from_str(include_str!("../../../peerage-proto/tests/vectors/aiomas.json")).unwrap()
}
