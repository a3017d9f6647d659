//! The parts of the machine of links, each alone.

mod pair;
