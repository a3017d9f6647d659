//! One machine among puppets, and meshes of machines: every rule of membership as a test.

mod chance;
mod checks;
mod exchange;
mod lists;
mod mesh;
mod own;
mod presence;
mod records;
mod scene;
mod states;
mod suspicion;
