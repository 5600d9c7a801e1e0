//! Changes under review: each hunk is taken or left by a letter, and only Enter writes.

use super::{Overlay, Seen, scrolled};
use crate::app::edits::Phase;
use crate::app::keymap::{Command, Pressed};
use crate::app::msg::{Effect, Level};
use crate::app::{App, Out};
use crate::edits::doubt::doubts;
use crate::edits::propose::Proposed;
use crate::edits::undo::Original;
use crate::edits::{Change, Problem};

/// Changes under review.
#[derive(Clone, Debug)]
pub struct Review {
    /// Each has at least one hunk.
    pub changes: Vec<Change>,
    /// What does not apply.
    pub problems: Vec<Problem>,
    /// By change: what is odd about its file as it would become, with all that was not rejected.
    pub doubts: Vec<Vec<String>>,
    /// By change and hunk: taken, left, or not decided.
    pub decided: Vec<Vec<Option<bool>>>,
    /// The change and the hunk that a letter decides about.
    pub at: (usize, usize),
    /// The row at the top, if the person scrolled; else the hunk is.
    pub top: Option<usize>,
    /// What comes of it.
    pub then: Then,
    /// When it was first drawn: a decision before that was meant for something else.
    pub shown: Seen,
}

/// What comes of a review.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// The files are written.
    Nothing,
    /// It is a round of `/fix`: the command runs when they are written.
    Fix,
    /// This record of a change is taken back with it.
    Undo(String),
}

impl Review {
    pub(crate) fn new(proposed: Proposed, then: Then) -> Self {
        let decided = proposed.changes.iter().map(|change| vec![None; change.diff.hunks().len()]).collect();
        let (changes, problems) = (proposed.changes, proposed.problems);
        let mut review = Self {
            doubts: vec![Vec::new(); changes.len()],
            changes,
            problems,
            decided,
            at: (0, 0),
            top: None,
            then,
            shown: Seen::default(),
        };
        (0..review.changes.len()).for_each(|at| review.doubt(at));
        review
    }

    /// Looks again at what is odd about a file. What undoes a change was there before.
    fn doubt(&mut self, at: usize) {
        let (Some(change), Some(all)) = (self.changes.get(at), self.decided.get(at)) else { return };
        if matches!(self.then, Then::Undo(_)) {
            return;
        }
        let accepted: Vec<bool> = all.iter().map(|one| *one != Some(false)).collect();
        let found = doubts(change, &change.diff.apply(&accepted));
        if let Some(told) = self.doubts.get_mut(at) {
            *told = found;
        }
    }

    /// The change that is looked at.
    pub fn change(&self) -> Option<&Change> {
        self.changes.get(self.at.0)
    }

    /// How many hunks are taken, left, not decided.
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |wanted: Option<bool>| self.decided.iter().flatten().filter(|one| **one == wanted).count();
        (count(Some(true)), count(Some(false)), count(None))
    }

    fn places(&self) -> Vec<(usize, usize)> {
        let hunks =
            |(n, all): (usize, &Vec<Option<bool>>)| (0..all.len()).map(move |hunk| (n, hunk)).collect::<Vec<_>>();
        self.decided.iter().enumerate().flat_map(hunks).collect()
    }

    /// To the next hunk or the one before, through all files.
    pub(crate) fn step(&mut self, by: isize) {
        let places = self.places();
        let now = places.iter().position(|place| *place == self.at).unwrap_or(0);
        if let Some(place) = now.checked_add_signed(by).and_then(|at| places.get(at)) {
            self.at = *place;
        }
        self.top = None;
    }

    fn next_open(&self) -> Option<(usize, usize)> {
        let open = |place: &&(usize, usize)| self.decided.get(place.0).and_then(|all| all.get(place.1)) == Some(&None);
        let places = self.places();
        let now = places.iter().position(|place| *place == self.at).unwrap_or(0);
        let (before, after) = places.split_at(now);
        after.iter().chain(before).find(open).copied()
    }

    /// Decides about the hunk and goes to the next one that is open.
    pub(crate) fn decide(&mut self, taken: bool) {
        if let Some(one) = self.decided.get_mut(self.at.0).and_then(|all| all.get_mut(self.at.1)) {
            *one = Some(taken);
            self.doubt(self.at.0);
        }
        if let Some(next) = self.next_open() {
            self.at = next;
        }
        self.top = None;
    }

    /// Takes everything that is not decided.
    pub(crate) fn take_rest(&mut self) {
        for one in self.decided.iter_mut().flatten().filter(|one| one.is_none()) {
            *one = Some(true);
        }
        self.top = None;
    }

    /// The files with what was taken of them.
    fn originals(&self) -> Vec<Original> {
        let taken = |all: &Vec<Option<bool>>| all.iter().map(|one| *one == Some(true)).collect::<Vec<bool>>();
        self.changes
            .iter()
            .zip(self.decided.iter().map(taken))
            .filter(|(_, taken)| taken.contains(&true))
            .map(|(change, taken)| Original {
                name: change.name.clone(),
                before: (!change.new).then(|| change.diff.old().to_owned()),
                after: (!change.gone || taken.contains(&false)).then(|| change.diff.apply(&taken)),
            })
            .collect()
    }
}

impl App {
    pub(super) fn review_key(&mut self, mut review: Box<Review>, key: Pressed, out: &mut Out) -> bool {
        use Command::{Accept, All, Back, Close, NextPart, No, PreviousPart, Yes};
        match key {
            Pressed::Command(Accept | Yes | No | All | Close) if !review.shown.counts(self.clock) => {}
            Pressed::Command(Back | Close) => {
                self.given_up(&Overlay::Review(review));
                return true;
            }
            Pressed::Command(Accept) => return self.write_review(review, out),
            Pressed::Command(Yes) => review.decide(true),
            Pressed::Command(No) => review.decide(false),
            Pressed::Command(All) => review.take_rest(),
            Pressed::Command(NextPart) => review.step(1),
            Pressed::Command(PreviousPart) => review.step(-1),
            key => out.extend(scrolled(key)),
        }
        self.overlay = Some(Overlay::Review(review));
        true
    }

    /// Enter: writes what was taken once everything is decided.
    fn write_review(&mut self, mut review: Box<Review>, out: &mut Out) -> bool {
        if let Some(open) = review.next_open() {
            let (_, _, left) = review.counts();
            review.at = open;
            review.top = None;
            self.tell(Level::Info, format!("{left} to decide: y accepts, n rejects, a accepts all of them"));
            self.overlay = Some(Overlay::Review(review));
            return true;
        }
        let originals = review.originals();
        if originals.is_empty() {
            self.given_up(&Overlay::Review(review));
        } else {
            out.push(match review.then {
                Then::Nothing => Effect::Write(originals),
                Then::Fix => {
                    self.fix_goes_on(Phase::Writing);
                    Effect::Write(originals)
                }
                Then::Undo(record) => Effect::TakeBack(record, originals),
            });
        }
        true
    }
}
