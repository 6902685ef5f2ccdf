//! `mexhat train --watch`: a run on a screen of its own, drawn by a thread of its own, so that it answers while a step
//! runs.

mod cells;
mod view;

use crate::train::Event;
use cells::Depth;
use ratatui::crossterm::event::{self, KeyCode, KeyEventKind, KeyModifiers};
use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use view::View;

/// Between two pictures.
const PERIOD: Duration = Duration::from_millis(100);

/// Set while the terminal is ours.
static ACTIVE: AtomicBool = AtomicBool::new(false);

/// The screen of a run; the terminal is as it was once this is dropped, and when the program panics.
pub(super) struct Screen {
    shared: Arc<Shared>,
    painter: Option<JoinHandle<()>>,
}

struct Shared {
    view: Mutex<View>,
    changed: AtomicBool,
    over: AtomicBool,
}

impl Shared {
    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives the terminal back, if it is ours.
pub(super) fn restore() {
    if ACTIVE.swap(false, Ordering::SeqCst) {
        ratatui::restore();
    }
}

impl Screen {
    /// Takes the terminal; `None` where there is none, or none with colours, so that plain lines serve better.
    /// Ctrl-C and `q` set `stop`; Ctrl-C a second time ends the program.
    pub fn open(stop: &Arc<AtomicBool>) -> Option<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let colours = variable("NO_COLOR").is_none() && variable("TERM").is_none_or(|term| term != "dumb");
        if !colours || !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
            return None;
        }
        let terminal = match ratatui::try_init() {
            Ok(terminal) => terminal,
            Err(e) => {
                ratatui::restore();
                log::warn!("--watch shows plain lines, because the terminal refuses a screen: {e}");
                return None;
            }
        };
        ACTIVE.store(true, Ordering::SeqCst);
        let shared = Arc::new(Shared {
            view: Mutex::new(View::new(Depth::detect(variable))),
            changed: AtomicBool::new(true),
            over: AtomicBool::new(false),
        });
        let (theirs, stop) = (Arc::clone(&shared), Arc::clone(stop));
        let painter = std::thread::spawn(move || paint(&theirs, &stop, terminal));
        Some(Self { shared, painter: Some(painter) })
    }

    /// Shows an event with the next picture.
    pub fn show(&self, event: &Event) {
        self.shared.view().take(event);
        self.shared.changed.store(true, Ordering::SeqCst);
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        if let Some(painter) = self.painter.take() {
            // A painter that panicked has restored the terminal.
            painter.join().ok();
        }
        restore();
    }
}

fn paint(shared: &Shared, stop: &AtomicBool, mut terminal: ratatui::DefaultTerminal) {
    while !shared.over.load(Ordering::SeqCst) && ACTIVE.load(Ordering::SeqCst) {
        if stop.load(Ordering::SeqCst) {
            shared.view().stop();
        }
        if shared.changed.swap(false, Ordering::SeqCst) {
            let view = shared.view();
            if terminal.draw(|frame| view.draw(frame)).is_err() {
                return;
            }
        }
        match event::poll(PERIOD) {
            Ok(true) => {}
            Ok(false) => continue,
            // Without keys there is still a picture.
            Err(_) => {
                std::thread::sleep(PERIOD);
                continue;
            }
        }
        match event::read() {
            Ok(event::Event::Key(key)) if key.kind == KeyEventKind::Press => {
                let interrupt = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
                if !interrupt && key.code != KeyCode::Char('q') {
                    continue;
                }
                if stop.swap(true, Ordering::SeqCst) && interrupt {
                    restore();
                    std::process::exit(130);
                }
                shared.changed.store(true, Ordering::SeqCst);
            }
            Ok(event::Event::Resize(..)) => shared.changed.store(true, Ordering::SeqCst),
            _ => {}
        }
    }
}
