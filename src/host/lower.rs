//! Kubernetes objects to the manifest's types: every reference resolved, every default written out, every mistake said.

mod claims;
mod confine;
mod container;
mod controllers;
mod cronjob;
mod dns;
mod env;
mod facts;
mod groups;
mod job;
mod mounts;
mod names;
mod objects;
mod pod;
mod policy;
mod ports;
mod probe;
mod projected;
mod ranges;
mod resources;
mod restart;
mod security;
mod update;
mod volumes;
mod workloads;
mod zone;

use super::arena::Arena;
use super::boards::BoardFile;
use super::diagnostic::{Diagnostic, Diagnostics, Severity, Sources, Span};
use super::read::Place;
use super::{units, yaml};
use crate::manifest::pod::Manifest;
use crate::manifest::{check, limits};
use core::cell::Cell;
use objects::Objects;
use std::format;
use std::prelude::v1::*;

/// A manifest's body, and what is in it.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// What [`crate::manifest::codec`] puts its frame around.
    pub body: Vec<u8>,
    /// The number of pods.
    pub pods: usize,
    /// The number of containers of all pods.
    pub containers: usize,
}

/// Compiles all documents of `sources` for `board`. With an error in `diagnostics` there is no result.
pub fn compile(sources: &Sources, board: &BoardFile, diagnostics: &Diagnostics) -> Option<Compiled> {
    let arena = Arena::default();
    let objects = Objects::default();
    let filters = confine::Filters::default();
    let context = Context { arena: &arena, diagnostics, sources, board, objects, spent: Cell::new(0), filters };
    context.compile()
}

/// What lowering needs everywhere.
struct Context<'a> {
    arena: &'a Arena,
    diagnostics: &'a Diagnostics,
    sources: &'a Sources,
    board: &'a BoardFile,
    objects: Objects<'a>,
    /// Bytes of values that were made or repeated: what a manifest cannot hold need not be made.
    spent: Cell<usize>,
    filters: confine::Filters,
}

impl<'a> Context<'a> {
    fn compile(mut self) -> Option<Compiled> {
        for (file, source) in self.sources.iter() {
            for node in yaml::documents(file, source, self.arena, self.diagnostics) {
                self.objects.take(&Place::root(self.diagnostics, node), self.sources, self.arena);
            }
        }
        for (namespace, spec) in
            self.objects.claims.iter().filter_map(|((of, _), claim)| Some((of, claim.spec.as_ref()?)))
        {
            self.bound_claim(namespace, spec);
        }
        let pods: Vec<_> = self.objects.pods.iter().take(limits::PODS).map(|found| pod::lower(&self, found)).collect();
        ports::check_node(&self, &self.objects.pods, &pods);
        match self.objects.pods.get(limits::PODS) {
            Some(first) => first.place.error(format!(
                "a manifest holds at most {} pods, and there are {}",
                limits::PODS,
                self.objects.pods.len()
            )),
            None if !pods.is_empty() || self.errors() > 0 => {}
            None if self.objects.controllers > 0 => self.note(
                Severity::Warning,
                "no document of these files asks for a pod now: a board with this manifest runs nothing".into(),
            ),
            None => self.note(
                Severity::Error,
                "there is no pod in these files: at least one document with kind: Pod is needed".into(),
            ),
        }
        if self.errors() > 0 {
            return None;
        }
        let containers = pods.iter().map(|pod| pod.containers.len()).sum();
        let filters = self.filters.list(self.arena);
        let claim_owners = self.arena.list(self.objects.claim_owners.iter().copied());
        let manifest =
            Manifest { node: self.board.node(), pods: self.arena.list(pods.iter().copied()), filters, claim_owners };
        let body = postcard::to_stdvec(&manifest).expect("a manifest serializes into memory");
        self.accept(&body).then_some(Compiled { body, pods: pods.len(), containers })
    }

    fn errors(&self) -> usize {
        self.diagnostics.count(Severity::Error)
    }

    /// Whether a board will take `body`: its size, and the same check that the board makes.
    fn accept(&self, body: &[u8]) -> bool {
        if body.len() > limits::MANIFEST - FRAME {
            let most = units::from_bytes(limits::MANIFEST as u64);
            self.note(
                Severity::Error,
                format!("the manifest takes {} bytes, and a board takes at most {most}", body.len()),
            );
            return false;
        }
        if let Err(error) = check::manifest(body) {
            self.note(Severity::Error, format!("the board would refuse this manifest: {error}"));
            return false;
        }
        true
    }

    /// Says something about all of the sources.
    fn note(&self, severity: Severity, message: String) {
        self.diagnostics.push(Diagnostic { severity, at: Span::default(), message, secret: true });
    }

    /// Whether `bytes` more can still be part of a manifest; says so at `place` once they cannot.
    fn afford(&self, place: &Place<'a>, bytes: usize) -> bool {
        let before = self.spent.get();
        self.spent.set(before.saturating_add(bytes));
        let fits = self.spent.get() <= 2 * limits::MANIFEST;
        if !fits && before <= 2 * limits::MANIFEST {
            place.error(format!(
                "with this the manifest gets larger than the {} bytes that a board takes",
                limits::MANIFEST
            ));
        }
        fits
    }
}

/// Bytes kept free for the frame around a body.
const FRAME: usize = 256;
