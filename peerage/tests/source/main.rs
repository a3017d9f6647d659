//! The house rules, as tests of the source itself.
//!
//! A rule that is only written down erodes. These tests read the files of the workspace and fail with the text of the
//! rule, so that whoever meets one learns the reason at once. The rules are data (tables of allowed imports, named
//! exceptions with their reasons); changing one is a visible line in a diff.
//!
//! ```text
//!   tree       which files there are, and their code without comments, strings and tests
//!   layering   who may use whom; what a module may be called; who may drive a machine
//!   sizes      files and functions one can hold in mind
//!   words      what is never written: unbounded queues, prints in a library, paths of one machine
//!   documents  citations, links, module tables and library records agree with the source
//!   seeds      every item of the seeds has its public path and its test
//! ```

mod documents;
mod items;
mod layering;
mod seeds;
mod sizes;
mod tree;
mod words;
