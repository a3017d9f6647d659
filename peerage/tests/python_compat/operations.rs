//! The operations that `interop/README.md` lists, served through the public API.

use std::time::Duration;

use peerage::{Caller, Failure, Request, Value};

/// Serves one request of the table. `raw` and `twice` are only half done here: a [`Relay`](crate::relay::Relay) on the
/// way does what this API cannot.
pub(crate) async fn operation(request: Request) {
    // What cannot be opened (`NaN` in JSON) is still echoed, unopened.
    let content = request.content().unwrap_or(Value::Null);
    match parts(content) {
        Some((name, arguments)) => named(request, &name, arguments).await,
        None => echo(request),
    }
}

async fn named(request: Request, name: &str, arguments: Vec<Value>) {
    let mut arguments = arguments.into_iter();
    let mut next = || arguments.next().unwrap_or(Value::Null);
    match name {
        "echo" | "twice" => request.reply(&next()),
        "fail" => request.fail(text(next())),
        "slow" => {
            let pause = Duration::from_secs_f64(number(&next()));
            tokio::time::sleep(pause).await;
            request.reply(&next());
        }
        "callback" => answer(callback(&request.caller(), next()).await, request),
        "push" => answer(push(&request.caller(), number(&next()) as i64).await, request),
        // The recorded exchanges call it by its short name.
        "unserializable" | "unser" => request.reply(&Value::Int(i128::MAX)),
        "close" => request.caller().close().await,
        "never" => std::future::pending().await,
        "raw" => request.reply("raw-sent"),
        "panic" => panic!("{}", text(next())),
        _ => echo(request),
    }
}

fn echo(request: Request) {
    let content = request.payload().clone();
    request.reply_payload(&content);
}

fn answer(result: Result<Value, Failure>, request: Request) {
    match result {
        Ok(value) => request.reply(&value),
        Err(failure) => request.fail_with(failure),
    }
}

async fn callback(caller: &Caller, content: Value) -> Result<Value, Failure> {
    Ok(caller.request::<Value>(&content).await?)
}

/// Asks `count` times at once and gathers the answers in the order of the questions.
async fn push(caller: &Caller, count: i64) -> Result<Value, Failure> {
    let ask = |number: i64| {
        let caller = caller.clone();
        tokio::spawn(async move { caller.request::<Value>(&("tick", number)).await })
    };
    let asked: Vec<_> = (0..count).map(ask).collect();
    let mut answers = Vec::new();
    for call in asked {
        answers.push(call.await??);
    }
    Ok(Value::List(answers))
}

/// The name and the arguments of a content of the form `[name, …]`.
fn parts(content: Value) -> Option<(String, Vec<Value>)> {
    let Value::List(mut items) = content else { return None };
    let arguments = items.split_off(items.len().min(1));
    match items.pop() {
        Some(Value::Text(name)) => Some((name, arguments)),
        _ => None,
    }
}

fn text(value: Value) -> String {
    match value {
        Value::Text(text) => text,
        other => other.to_string(),
    }
}

fn number(value: &Value) -> f64 {
    match value {
        Value::Int(number) => *number as f64,
        Value::Float(number) => *number,
        _ => 0.0,
    }
}
