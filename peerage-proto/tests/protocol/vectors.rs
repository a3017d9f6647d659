//! The `vectors` blocks of the document: values by their names.

use std::collections::BTreeMap;

use crate::{PROTOCOL, bytes_of};

/// The values of the document by their names.
pub(crate) struct Vectors(BTreeMap<String, Vec<u8>>);

impl Vectors {
    pub(crate) fn read() -> Vectors {
        let mut found = BTreeMap::new();
        let mut inside = false;
        for line in PROTOCOL.lines() {
            match line {
                "```vectors" => inside = true,
                "```" => inside = false,
                _ if inside => {
                    let (name, hex) = line.rsplit_once(' ').expect("a name and a value");
                    let bytes = bytes_of(hex);
                    // A long value goes on in the next line under the same name.
                    found.entry(name.trim().to_owned()).or_insert_with(Vec::new).extend(bytes);
                }
                _ => {}
            }
        }
        Vectors(found)
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        self.0.get(name).unwrap_or_else(|| panic!("PROTOCOL.md has no {name}")).clone()
    }

    pub(crate) fn array<const N: usize>(&self, name: &str) -> [u8; N] {
        self.bytes(name).try_into().unwrap_or_else(|_| panic!("{name} has not {N} bytes"))
    }

    pub(crate) fn named(&self, names: &[&str]) -> Vec<Vec<u8>> {
        names.iter().map(|name| self.bytes(name)).collect()
    }
}
