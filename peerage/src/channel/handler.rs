//! Handlers: plain async functions that answer requests.

use std::fmt;

use peerage_proto::codec::Value;
use peerage_proto::outcome::Code;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Request;

/// Answers requests. Implemented for async functions and closures:
///
/// * `|content: T| async { Ok(value) }`: typed; the content is decoded, the value or the [`Failure`] is sent.
/// * `|request: Request| async { … }`: the request itself, for whoever wants to see the payload, ask back or answer late.
///
/// A handler that panics gives its caller a failure with the code `internal` and disturbs nobody else.
pub trait Handler<Form>: Send + Sync + 'static {
    /// Works on one request until it is answered.
    fn handle(&self, request: Request) -> impl Future<Output = ()> + Send + 'static + use<Self, Form>;
}

/// The form of handlers that take the [`Request`] itself.
#[derive(Debug)]
pub struct WithRequest;

impl<F, Work> Handler<WithRequest> for F
where
    F: Fn(Request) -> Work + Send + Sync + 'static,
    Work: Future<Output = ()> + Send + 'static,
{
    fn handle(&self, request: Request) -> impl Future<Output = ()> + Send + 'static + use<F, Work> {
        self(request)
    }
}

impl<F, Work, T, R> Handler<(T, R)> for F
where
    F: Fn(T) -> Work + Send + Sync + 'static,
    Work: Future<Output = Result<R, Failure>> + Send + 'static,
    T: DeserializeOwned + 'static,
    R: Serialize + 'static,
{
    fn handle(&self, request: Request) -> impl Future<Output = ()> + Send + 'static + use<F, Work, T, R> {
        // Decoded here so that a content that is not `Send` need not live across an await.
        let work = request.content::<T>().map(self);
        async move {
            match work {
                Ok(work) => match work.await {
                    Ok(value) => request.reply(&value),
                    Err(failure) => request.fail_with(failure),
                },
                Err(error) => request.fail_with(Failure::new(error.to_string()).code(Code::BAD_REQUEST)),
            }
        }
    }
}

/// Why a handler gives no value: a text for people, a code for programs, data for whoever wants more.
///
/// Every error turns into one by `?`, with the code `failed` and its text.
#[derive(Clone, PartialEq)]
pub struct Failure {
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) data: Option<Value>,
}

impl Failure {
    /// A failure with this text, at most 4 KiB of which are sent.
    pub fn new(message: impl Into<String>) -> Failure {
        Failure { code: FAILED, message: message.into(), data: None }
    }

    /// Gives it a code: a short word in kebab case, for programs. On a plain link it stands in brackets before the text.
    pub fn code(mut self, code: impl Into<Code>) -> Failure {
        self.code = code.into();
        self
    }

    /// Adds data. A plain link does not carry it.
    pub fn data(mut self, data: Value) -> Failure {
        self.data = Some(data);
        self
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::new(error.to_string())
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.code, self.message)
    }
}

/// The code of a failure that was given none: it says nothing that the text does not, so plain peers see the text only.
const FAILED: Code = Code::PLAIN;
