//! Signals that ask a run to end: it keeps a checkpoint first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A flag that is set when Ctrl-C or the system asks for an orderly end. Ctrl-C a second time ends the program at once.
pub(super) fn stop_flag() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    if let Err(e) = install(Arc::clone(&flag)) {
        log::warn!("Ctrl-C and the system's signals will end the run at once: {e}");
    }
    flag
}

fn end_at_once() -> ! {
    #[cfg(feature = "watch")]
    super::watch::restore();
    std::process::exit(130);
}

#[cfg(unix)]
fn install(flag: Arc<AtomicBool>) -> std::io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGQUIT, SIGTERM])?;
    // `nohup` has it ignored, so that the run outlives its terminal.
    if !is_ignored(SIGHUP) {
        signals.add_signal(SIGHUP)?;
    }
    std::thread::Builder::new().name("mexhat-signals".into()).spawn(move || {
        for signal in signals.forever() {
            // Systems send several of the others to one process that is to end.
            if flag.swap(true, Ordering::SeqCst) && matches!(signal, SIGINT | SIGQUIT) {
                end_at_once();
            }
        }
    })?;
    Ok(())
}

#[cfg(unix)]
#[allow(unsafe_code)]
fn is_ignored(signal: i32) -> bool {
    let mut old = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action the call changes nothing; it fills `old`, which all zeros are valid for too.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), old.as_mut_ptr()) == 0
            && old.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

#[cfg(not(unix))]
fn install(flag: Arc<AtomicBool>) -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::SeqCst) {
            end_at_once();
        }
    })
}
