//! Functions as handlers: plain ones with typed parameters, so that they can be called and tested without a node.
//!
//! The forms, each with up to six positional parameters: `(A, B…)`, `(Context, A, B…)`, `(A, B…, Named<N>)` and `(Context, A,
//! B…, Named<N>)`. Which one a function has, its types tell.

use std::ops::Deref;

use peerage_proto::codec::{Encoding, Payload};
use peerage_proto::outcome::Code;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Context;
use crate::channel::Failure;

/// The named arguments of a call, as a value of this type: a last parameter of a handler.
///
/// A handler without it takes no named arguments, and refuses a call that brings some.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Named<T>(
    /// The arguments.
    pub T,
);

impl<T> Deref for Named<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// An async function or closure that answers calls. `Form` is the list of its parameters and need never be written.
pub trait Handler<Form>: Send + Sync + 'static {
    /// Answers one call.
    #[doc(hidden)]
    fn answer(
        &self,
        context: Context,
        args: &Payload,
        kwargs: &Payload,
    ) -> impl Future<Output = Result<Payload, Failure>> + Send + 'static + use<Self, Form>;
}

/// A function or closure that answers calls without waiting. `Form` is the list of its parameters and need never be written.
pub trait Function<Form>: Send + Sync + 'static {
    /// Answers one call. There is no context where the function is called in place.
    #[doc(hidden)]
    fn answer(&self, context: Option<Context>, args: &Payload, kwargs: &Payload) -> Result<Payload, Failure>;
}

/// Forms of parameter lists.
#[doc(hidden)]
pub mod form {
    /// Positional parameters.
    #[derive(Debug)]
    pub struct Args<A>(A);
    /// Positional parameters behind a context.
    #[derive(Debug)]
    pub struct ContextArgs<A>(A);
    /// Positional parameters and named ones.
    #[derive(Debug)]
    pub struct ArgsNamed<A, N>(A, N);
    /// Positional parameters and named ones behind a context.
    #[derive(Debug)]
    pub struct ContextArgsNamed<A, N>(A, N);
}

macro_rules! forms {
    ($count:literal $($name:ident)*) => {
        forms!(@handler $count [Args] [] [$($name)*] []);
        forms!(@handler $count [ContextArgs] [context: Context] [$($name)*] []);
        forms!(@handler $count [ArgsNamed] [] [$($name)*] [named: N]);
        forms!(@handler $count [ContextArgsNamed] [context: Context] [$($name)*] [named: N]);
        forms!(@function $count [Args] [] [$($name)*] []);
        forms!(@function $count [ArgsNamed] [] [$($name)*] [named: N]);
        forms!(@blocking $count [ContextArgs] [$($name)*] []);
        forms!(@blocking $count [ContextArgsNamed] [$($name)*] [named: N]);
    };
    (@handler $count:literal [$form:ident] [$($context:ident: $Context:ty)?] [$($name:ident)*] [$($named:ident: $N:ident)?]) => {
        #[allow(non_snake_case, unused_variables, reason = "parameters are named like their types, and a list may be empty")]
        impl<F, Work, R, $($name,)* $($N)?> Handler<(form::$form<($($name,)*) $(, $N)?>, R)> for F
        where
            F: Fn($($Context,)? $($name,)* $(Named<$N>)?) -> Work + Send + Sync + 'static,
            Work: Future<Output = Result<R, Failure>> + Send + 'static,
            R: Serialize + 'static,
            $($name: DeserializeOwned + 'static,)*
            $($N: DeserializeOwned + 'static,)?
        {
            fn answer(
                &self,
                context: Context,
                args: &Payload,
                kwargs: &Payload,
            ) -> impl Future<Output = Result<Payload, Failure>> + Send + 'static + use<F, Work, R, $($name,)* $($N)?> {
                // Opened and begun here, so that arguments that are not `Send` need not live across an await.
                let encoding = args.encoding();
                let work = positional::<($($name,)*)>($count, args).and_then(|($($name,)*)| {
                    forms!(@named kwargs $($named: $N)?);
                    $(let $context = context;)?
                    Ok(self($($context,)? $($name,)* $($named)?))
                });
                async move { encoded(&work?.await?, encoding) }
            }
        }
    };
    (@function $count:literal [$form:ident] [] [$($name:ident)*] [$($named:ident: $N:ident)?]) => {
        #[allow(non_snake_case, reason = "parameters are named like their types")]
        impl<F, R, $($name,)* $($N)?> Function<(form::$form<($($name,)*) $(, $N)?>, R)> for F
        where
            F: Fn($($name,)* $(Named<$N>)?) -> Result<R, Failure> + Send + Sync + 'static,
            R: Serialize + 'static,
            $($name: DeserializeOwned + 'static,)*
            $($N: DeserializeOwned + 'static,)?
        {
            fn answer(&self, _context: Option<Context>, args: &Payload, kwargs: &Payload) -> Result<Payload, Failure> {
                let ($($name,)*) = positional::<($($name,)*)>($count, args)?;
                forms!(@named kwargs $($named: $N)?);
                encoded(&self($($name,)* $($named)?)?, args.encoding())
            }
        }
    };
    (@blocking $count:literal [$form:ident] [$($name:ident)*] [$($named:ident: $N:ident)?]) => {
        #[allow(non_snake_case, reason = "parameters are named like their types")]
        impl<F, R, $($name,)* $($N)?> Function<(form::$form<($($name,)*) $(, $N)?>, R)> for F
        where
            F: Fn(Context, $($name,)* $(Named<$N>)?) -> Result<R, Failure> + Send + Sync + 'static,
            R: Serialize + 'static,
            $($name: DeserializeOwned + 'static,)*
            $($N: DeserializeOwned + 'static,)?
        {
            fn answer(&self, context: Option<Context>, args: &Payload, kwargs: &Payload) -> Result<Payload, Failure> {
                let context = context.ok_or_else(no_context)?;
                let ($($name,)*) = positional::<($($name,)*)>($count, args)?;
                forms!(@named kwargs $($named: $N)?);
                encoded(&self(context, $($name,)* $($named)?)?, args.encoding())
            }
        }
    };
    (@named $kwargs:ident) => {
        no_named($kwargs)?;
    };
    (@named $kwargs:ident $named:ident: $N:ident) => {
        let $named = Named($kwargs.decode::<$N>().map_err(|why| bad_request(format!("the named arguments: {why}")))?);
    };
}

forms!(0);
forms!(1 A);
forms!(2 A B);
forms!(3 A B C);
forms!(4 A B C D);
forms!(5 A B C D E);
forms!(6 A B C D E G);

/// Opens the positional arguments.
fn positional<T: DeserializeOwned>(count: usize, args: &Payload) -> Result<T, Failure> {
    // The unit says nothing about how many there are.
    if count == 0 {
        let given = args.decode::<Vec<serde::de::IgnoredAny>>().map_err(|why| bad_request(why.to_string()))?.len();
        return match given {
            0 => Payload::null(args.encoding()).decode().map_err(|why| bad_request(why.to_string())),
            given => Err(wrong_count(0, given)),
        };
    }
    args.decode().map_err(|why| match args.decode::<Vec<serde::de::IgnoredAny>>() {
        Ok(given) if given.len() != count => wrong_count(count, given.len()),
        _ => bad_request(format!("the arguments: {why}")),
    })
}

fn no_named(kwargs: &Payload) -> Result<(), Failure> {
    let named = kwargs.decode::<std::collections::BTreeMap<String, serde::de::IgnoredAny>>();
    match named.map_err(|why| bad_request(format!("the named arguments: {why}")))?.into_keys().next() {
        None => Ok(()),
        Some(name) => {
            Err(bad_request(format!("takes no named arguments, and was given `{}`", crate::shown::shown(&name))))
        }
    }
}

fn encoded<R: Serialize>(value: &R, encoding: Encoding) -> Result<Payload, Failure> {
    Payload::encode(value, encoding).map_err(|why| Failure::new(format!("the answer: {why}")).code(Code::INTERNAL))
}

fn wrong_count(wanted: usize, given: usize) -> Failure {
    let plural = if wanted == 1 { "" } else { "s" };
    bad_request(format!("takes {wanted} positional argument{plural}, and was given {given}"))
}

fn bad_request(why: String) -> Failure {
    Failure::new(why).code(Code::BAD_REQUEST)
}

fn no_context() -> Failure {
    Failure::new("a function that is called in place has no context").code(Code::INTERNAL)
}

/// What the caller of a handler gets that panicked.
pub(super) fn panicked() -> Failure {
    Failure::new("the handler panicked").code(Code::INTERNAL)
}
