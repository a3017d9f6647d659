//! The machines that were met, each kept once, and their steps, each run once.
//!
//! A world holds the numbers of its machines. A step of the shipped code is run once for each machine and input that it meets,
//! and looked up whenever the same step comes up in another interleaving.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::rule::{Act, Fact, Rule};

/// All machines that were met, and all their steps.
pub(crate) struct Machines<R> {
    /// What was fed to machines and what they ordered, while somebody wants to know.
    pub(crate) log: Option<String>,
    all: Vec<R>,
    numbers: HashMap<R, u32, BuildHasherDefault<Fast>>,
    steps: Steps,
}

/// What a machine becomes when it is told something, and what it orders.
type Steps = HashMap<(u32, Fact), (u32, Box<[Act]>), BuildHasherDefault<Fast>>;

impl<R: Rule> Machines<R> {
    pub(crate) fn new() -> Self {
        Machines { log: None, all: Vec::new(), numbers: HashMap::default(), steps: HashMap::default() }
    }

    pub(crate) fn number(&mut self, machine: R) -> u32 {
        if let Some(number) = self.numbers.get(&machine) {
            return *number;
        }
        let number = self.all.len() as u32;
        self.all.push(machine.clone());
        self.numbers.insert(machine, number);
        number
    }

    pub(crate) fn step(&mut self, number: u32, fact: Fact) -> (u32, &[Act]) {
        if !self.steps.contains_key(&(number, fact)) {
            let (mut machine, mut acts) = (self.all[number as usize].clone(), Vec::new());
            machine.step(fact, &mut acts);
            let next = self.number(machine);
            self.steps.insert((number, fact), (next, acts.into()));
        }
        let (next, acts) = &self.steps[&(number, fact)];
        if let Some(log) = &mut self.log {
            *log += &format!("{fact:?} gives {acts:?}; ");
        }
        (*next, acts)
    }

    /// Machines met, and steps of theirs that were run.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.all.len(), self.steps.len())
    }
}

/// A fast hash for tables that nobody attacks.
#[derive(Clone, Copy, Default)]
pub(crate) struct Fast(u64);

impl Hasher for Fast {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u128(&mut self, n: u128) {
        self.write_u64(n as u64);
        if n >> 64 != 0 {
            self.write_u64((n >> 64) as u64);
        }
    }

    fn write_u8(&mut self, n: u8) {
        self.write_u64(n.into());
    }

    fn write_u32(&mut self, n: u32) {
        self.write_u64(n.into());
    }

    fn write_u64(&mut self, n: u64) {
        let mixed = u128::from(self.0 ^ n ^ 0x2d35_8dcc_aa6c_78a5) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (mixed as u64) ^ ((mixed >> 64) as u64);
    }

    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }

    fn finish(&self) -> u64 {
        let mixed = u128::from(self.0 ^ 0xe703_7ed1_a0b4_28db) * 0xa076_1d64_78bd_642f;
        (mixed as u64) ^ ((mixed >> 64) as u64)
    }
}
