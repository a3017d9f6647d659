//! `peerage channel serve`: answers plain requests with an echo, or with what a command prints.

use std::sync::Arc;

use peerage::outcome::Code;
use peerage::{Encoding, Failure, Listener, Request, Server, Value};
use serde::Serialize;

use crate::args::ChannelServe;
use crate::command::channel_call;
use crate::exit::{Abort, Exit};
use crate::output;
use crate::program::{Answer as Printed, Failed, Groups, Program};
use crate::ready::{self, ReadyFd};
use crate::runtime::{self, Interrupts};

pub(super) fn run(typed: ChannelServe) -> Result<Exit, Abort> {
    let plan = Plan::of(&typed)?;
    runtime::on_all_processors(async {
        let mut interrupts = Interrupts::listen()?;
        let (groups, all_gone) = Groups::new();
        let server = plan.start(groups).await?;
        interrupts.next().await;
        let end = async {
            server.close().await;
            all_gone.wait().await;
        };
        tokio::select! {
            () = end => Ok(Exit::Ok),
            () = interrupts.next() => Ok(Exit::Failed),
        }
    })
}

/// What is meant.
struct Plan {
    address: peerage::Address,
    codec: Option<Encoding>,
    answer: Answer,
    concurrency: Option<usize>,
    max_frame: u32,
    jsonl: bool,
    ready_fd: Option<ReadyFd>,
}

enum Answer {
    Echo,
    Command(Program),
}

impl Plan {
    fn of(typed: &ChannelServe) -> Result<Plan, Abort> {
        let address = typed.place.0.clone();
        let answer = match &typed.command {
            Some(command) => Answer::Command(
                Program::parse(command, typed.max_frame).map_err(|why| Abort::Usage(format!("--command: {why}")))?,
            ),
            None => Answer::Echo,
        };
        let default = match answer {
            Answer::Echo => None,
            Answer::Command(_) => Some(COMMANDS_AT_ONCE),
        };
        Ok(Plan {
            codec: channel_call::codec(&address, typed.codec.map(Encoding::from))?,
            address,
            answer,
            concurrency: typed.concurrency.map(|n| n as usize).or(default),
            max_frame: typed.max_frame,
            jsonl: typed.jsonl,
            ready_fd: typed.ready_fd.map(ReadyFd::take_over).transpose()?,
        })
    }

    async fn start(self, groups: Groups) -> Result<Server, Abort> {
        let mut listener = Listener::bind(&self.address).await.map_err(|why| Abort::Failed(why.to_string()))?;
        listener = listener.max_frame(self.max_frame);
        if let Some(codec) = self.codec {
            listener = listener.encoding(codec);
        }
        if let Some(requests) = self.concurrency {
            listener = listener.concurrency(requests);
        }
        let ready = Ready {
            event: "ready",
            address: listener.local_address().to_string(),
            codec: self.codec.map_or_else(|| "any".to_owned(), |codec| codec.to_string()),
            pid: std::process::id(),
        };
        let server = match self.answer {
            Answer::Echo => listener.serve(echo),
            Answer::Command(program) => {
                let (program, groups) = (Arc::new(program), Arc::new(groups));
                listener.serve(move |request| answer(request, program.clone(), groups.clone()))
            }
        };
        ready.tell(self.jsonl, self.ready_fd)?;
        Ok(server)
    }
}

/// Sends the content back as it came. It is not looked into.
async fn echo(request: Request) {
    let content = request.payload().clone();
    request.reply_payload(&content);
}

/// Hands the content to a command and sends back what it prints.
async fn answer(request: Request, program: Arc<Program>, groups: Arc<Groups>) {
    let answer = match request.content::<Value>() {
        Ok(content) => program.answer(&content, &groups).await.map_err(failure),
        Err(why) => Err(Failure::new(why.to_string()).code(Code::BAD_REQUEST)),
    };
    match answer {
        Ok(Printed::Value(value)) => request.reply(&value),
        // A plain link has no flags: a failure whose text begins with the flag's name.
        Ok(Printed::Flag(name)) => request.fail(format!("{name} (flag)")),
        Err(failure) => {
            tracing::debug!(?failure, "a command failed");
            request.fail_with(failure);
        }
    }
}

fn failure(mut failed: Failed) -> Failure {
    if failed.code == "too-large" {
        failed.message.push_str(", see --max-frame");
    }
    failed.into()
}

/// Says that the address is bound.
#[derive(Serialize)]
struct Ready {
    event: &'static str,
    address: String,
    codec: String,
    pid: u32,
}

impl Ready {
    fn tell(&self, jsonl: bool, ready_fd: Option<ReadyFd>) -> Result<(), Abort> {
        let line = match jsonl {
            true => output::record_line(self)?,
            false => format!("ready {} codec {}", self.address, self.codec),
        };
        ready::say(&line, ready_fd)
    }
}

/// Commands that run at once unless said otherwise: processes are dear, and a burst of requests must not be one of them.
const COMMANDS_AT_ONCE: usize = 64;
