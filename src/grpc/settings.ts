// SETTINGS payloads (RFC 9113 §6.5): what a peer may ask for, checked, and what we say ourselves. Pure.
import {
  ConnectionError,
  ErrorCode,
  FRAME_PAYLOAD_MAX,
  readU32,
  Setting,
  WINDOW_MAX,
  writeU32,
} from './frames.ts';

const SETTING_BYTES = 6;

/** The settings of one frame; of a setting named twice, the last value counts. */
export interface SettingsChange {
  headerTableBytes?: number;
  concurrentStreamsMax?: number;
  streamWindow?: number;
  frameMax?: number;
}

export function readSettings(bytes: Uint8Array, start: number, end: number): SettingsChange {
  if ((end - start) % SETTING_BYTES !== 0) {
    throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, 'wrong frame size: SETTINGS');
  }
  const change: SettingsChange = {};
  for (let at = start; at < end; at += SETTING_BYTES) {
    applySetting(change, (bytes[at]! << 8) | bytes[at + 1]!, readU32(bytes, at + 2));
  }
  return change;
}

function applySetting(change: SettingsChange, setting: number, value: number): void {
  switch (setting) {
    case Setting.HEADER_TABLE_SIZE:
      // A size lowered and raised again within one frame must still empty the table (RFC 7541 §4.2).
      change.headerTableBytes = Math.min(change.headerTableBytes ?? value, value);
      return;
    case Setting.ENABLE_PUSH:
      if (value > 1) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, 'ENABLE_PUSH');
      return;
    case Setting.MAX_CONCURRENT_STREAMS:
      change.concurrentStreamsMax = value;
      return;
    case Setting.INITIAL_WINDOW_SIZE:
      if (value > WINDOW_MAX) {
        throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, 'INITIAL_WINDOW_SIZE');
      }
      change.streamWindow = value;
      return;
    case Setting.MAX_FRAME_SIZE:
      if (value < FRAME_PAYLOAD_MAX || value > 0xffffff) {
        throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, 'MAX_FRAME_SIZE');
      }
      change.frameMax = value;
      return;
    default: // unknown settings are ignored (§6.5.2)
  }
}

/** A SETTINGS payload of these pairs. */
export function settingsPayload(pairs: readonly (readonly [number, number])[]): Uint8Array {
  const payload = new Uint8Array(pairs.length * SETTING_BYTES);
  for (const [i, [setting, value]] of pairs.entries()) {
    payload[i * SETTING_BYTES + 1] = setting;
    writeU32(payload, i * SETTING_BYTES + 2, value);
  }
  return payload;
}
