//! Compressing one message with zlib-rs, which is told what the connection has sent before.

use alloc::vec::Vec;

/// What a message is compressed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) window_bits: u8,
    pub(super) level: u8,
    /// What does not become shorter is made all the same.
    pub(super) even_if_longer: bool,
}

/// The end of every compressed message, which is cut off (RFC 7692 §7.2.1).
#[cfg(feature = "deflate")]
const TAIL: &[u8] = &[0x00, 0x00, 0xff, 0xff];

/// Compressors that any connection's next message may be made with: one for each of the settings
/// in use, of which there are few (seven windows, and the levels of a program's configuration).
#[derive(Default)]
pub(super) struct Compressors {
    #[cfg(feature = "deflate")]
    compressors: Vec<(Settings, zlib_rs::Deflate)>,
}

/// Compressors that are kept. They take 140 to 380 KB each.
#[cfg(feature = "deflate")]
const COMPRESSORS_MAX: usize = 8;

#[cfg(feature = "deflate")]
impl Compressors {
    /// Compresses `payload` behind `history` into `out`, which is emptied before. False: it
    /// cannot be done, send it plain.
    pub(super) fn compress(
        &mut self,
        settings: Settings,
        history: &[u8],
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(compressor) = self.compressor(settings) else {
            return false;
        };
        compressor.reset();
        if !history.is_empty() && compressor.set_dictionary(history).is_err() {
            return false;
        }
        // Room for incompressible bytes in stored blocks, and for the flush. If it is not enough,
        // compressing is not worth while.
        let room = payload
            .len()
            .saturating_add(payload.len() / 8)
            .saturating_add(64);
        out.clear();
        out.resize(room, 0);
        let flush = zlib_rs::DeflateFlush::SyncFlush;
        if compressor.compress(payload, out, flush) != Ok(zlib_rs::Status::Ok) {
            return false;
        }
        let (taken, made) = (compressor.total_in(), compressor.total_out());
        let all = usize::try_from(taken) == Ok(payload.len());
        out.truncate(usize::try_from(made).unwrap_or(0));
        if !all || out.len() == room || !out.ends_with(TAIL) {
            return false;
        }
        out.truncate(out.len().saturating_sub(TAIL.len()));
        true
    }

    fn compressor(&mut self, settings: Settings) -> Option<&mut zlib_rs::Deflate> {
        let known = self.compressors.iter().position(|(of, _)| *of == settings);
        let index = known.unwrap_or_else(|| {
            self.compressors.truncate(COMPRESSORS_MAX.saturating_sub(1));
            let config = zlib_rs::DeflateConfig {
                level: settings.level.into(),
                // Negative: no zlib header around it.
                window_bits: -i32::from(settings.window_bits),
                ..zlib_rs::DeflateConfig::default()
            };
            self.compressors
                .insert(0, (settings, zlib_rs::Deflate::new_with_config(config)));
            0
        });
        self.compressors
            .get_mut(index)
            .map(|(_, compressor)| compressor)
    }
}

#[cfg(not(feature = "deflate"))]
impl Compressors {
    /// Without the feature `deflate` everything is sent plain, which the RFC allows (RFC 7692 §6).
    pub(super) fn compress(
        &mut self,
        _settings: Settings,
        _history: &[u8],
        _payload: &[u8],
        _out: &mut Vec<u8>,
    ) -> bool {
        false
    }
}
