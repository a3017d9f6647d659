//! The built program, used as people and scripts use it: what it prints, where it prints it, and how it ends.

mod asking;
mod beside;
mod calling;
mod calls;
mod canary;
mod commands;
mod documents;
mod events;
mod faults;
mod first_run;
mod guests;
mod home;
mod interrupted;
mod keeping;
mod knowing;
mod leaving;
mod members;
#[cfg(target_os = "linux")]
mod node;
mod program;
mod repeated_calls;
mod services;
mod serving;
mod settings;
mod streaming;
mod terminal;
mod up;
mod usage;
