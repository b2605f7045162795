// Single keys from the terminal, without Enter.

const CTRL_C = '\x03';
const CTRL_D = '\x04';

/** `press` gets each key, q also for Ctrl-C and Ctrl-D. Returns what gives the terminal back. */
export function readKeys(press: (key: string) => void): () => void {
  const { stdin } = process;
  const listener = (data: Buffer) => {
    for (const char of data.toString()) {
      press(char === CTRL_C || char === CTRL_D ? 'q' : char.toLowerCase());
    }
  };
  stdin.setRawMode(true);
  stdin.resume();
  stdin.on('data', listener);
  return () => {
    stdin.off('data', listener);
    stdin.setRawMode(false);
    stdin.pause();
  };
}
