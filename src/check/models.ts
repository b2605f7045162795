// Sequential specifications: what one client alone would see. The searching checker asks a model
// only one question: may this operation, with this answer, come next in this state?

/**
 * `S` must not contain undefined, which `step` uses to say no. States are never changed in place.
 */
export interface Model<S, In, Out> {
  readonly name: string;
  init(): S;
  /**
   * The next state, or undefined if the operation cannot have had this output in this state. An
   * undefined `output` means that the client never learnt it: any answer is possible, and the
   * step must be total.
   */
  step(state: S, input: In, output: Out | undefined): S | undefined;
  /** Equal keys if and only if equal states. */
  stateKey(state: S): string | number;
  /** Operations of different keys never influence each other, so they are checked apart. */
  key?(input: In): string;
  /**
   * Whether an operation with this answer changes no state whatever: a read, or a compare-and-set
   * that did not swap. The search relies on it. A write that happens to write what is there is
   * not one: elsewhere in the order it would change the state.
   */
  isRead(input: In, output: Out | undefined): boolean;
  describe(input: In, output: Out | undefined): string;
  describeState(state: S): string;
}

export type RegisterValue = string | number | null;

export type RegisterInput =
  | { readonly kind: 'read' }
  | { readonly kind: 'write'; readonly value: RegisterValue }
  | { readonly kind: 'cas'; readonly from: RegisterValue; readonly to: RegisterValue };

/** `value` answers a read; `swapped` answers a compare-and-set. */
export interface RegisterOutput {
  readonly value?: RegisterValue | undefined;
  readonly swapped?: boolean | undefined;
}

/** A register with read, write and compare-and-set. A plain register is one without `cas`. */
export function registerModel(
  initial: RegisterValue = null,
): Model<RegisterValue, RegisterInput, RegisterOutput> {
  return {
    name: 'register',
    init: () => initial,
    step: registerStep,
    stateKey: valueKey,
    isRead: (input, output) =>
      input.kind === 'read' || (input.kind === 'cas' && output?.swapped === false),
    describe: describeRegister,
    describeState: showValue,
  };
}

export type KeyedRegisterInput = RegisterInput & { readonly key: string };

/** Many independent registers, checked one by one. */
export function keyedRegisterModel(
  initial: RegisterValue = null,
): Model<RegisterValue, KeyedRegisterInput, RegisterOutput> {
  return {
    ...registerModel(initial),
    name: 'registers',
    key: input => input.key,
    describe: (input, output) => `${input.key}: ${describeRegister(input, output)}`,
  };
}

function registerStep(
  state: RegisterValue,
  input: RegisterInput,
  output: RegisterOutput | undefined,
): RegisterValue | undefined {
  switch (input.kind) {
    case 'read':
      return output === undefined || output.value === state ? state : undefined;
    case 'write':
      return input.value;
    case 'cas': {
      const swaps = state === input.from;
      if (output !== undefined && output.swapped !== swaps) return undefined;
      return swaps ? input.to : state;
    }
  }
}

// Numbers stay numbers, the cheapest keys of a Map; a prefix keeps "1" apart from 1.
function valueKey(value: RegisterValue): string | number {
  if (typeof value === 'string') return `s${value}`;
  return value ?? 'null';
}

function showValue(value: RegisterValue): string {
  return value === null ? 'nothing' : JSON.stringify(value);
}

function describeRegister(input: RegisterInput, output: RegisterOutput | undefined): string {
  switch (input.kind) {
    case 'read':
      return `read() -> ${output === undefined ? '?' : showValue(output.value ?? null)}`;
    case 'write':
      return `write(${showValue(input.value)})${output === undefined ? ' -> ?' : ''}`;
    case 'cas': {
      const answer = output === undefined ? '?' : output.swapped ? 'swapped' : 'not swapped';
      return `cas(${showValue(input.from)}, ${showValue(input.to)}) -> ${answer}`;
    }
  }
}

export type AppendInput =
  | { readonly kind: 'get'; readonly key: string }
  | { readonly kind: 'put'; readonly key: string; readonly value: string }
  | { readonly kind: 'append'; readonly key: string; readonly value: string };

/** The text of a get; null for a put or an append. */
export type AppendOutput = string | null;

/** The key/value service of the MIT 6.824 labs: put, append and get of text, absent is ''. */
export function appendModel(): Model<string, AppendInput, AppendOutput> {
  return {
    name: 'put/append/get',
    init: () => '',
    step: (state, input, output) => {
      if (input.kind === 'put') return input.value;
      if (input.kind === 'append') return state + input.value;
      return output === undefined || output === state ? state : undefined;
    },
    stateKey: state => state,
    key: input => input.key,
    isRead: input => input.kind === 'get',
    describe: (input, output) => {
      if (input.kind !== 'get')
        return `${input.kind}(${input.key}, ${JSON.stringify(input.value)})`;
      const answer = output === undefined ? '?' : JSON.stringify(output);
      return `get(${input.key}) -> ${answer}`;
    },
    describeState: state => JSON.stringify(state),
  };
}

export type CounterInput = { readonly kind: 'add'; readonly by: number } | { readonly kind: 'get' };

/** The counter after the operation; null if an add does not tell. */
export type CounterOutput = number | null;

export function counterModel(): Model<number, CounterInput, CounterOutput> {
  return {
    name: 'counter',
    init: () => 0,
    step: (state, input, output) => {
      const next = input.kind === 'add' ? state + input.by : state;
      const silent = output === undefined || (output === null && input.kind === 'add');
      return silent || output === next ? next : undefined;
    },
    stateKey: state => state,
    isRead: input => input.kind === 'get',
    describe: (input, output) => {
      const call = input.kind === 'add' ? `add(${input.by})` : 'get()';
      return `${call} -> ${output === undefined ? '?' : output === null ? 'ok' : output}`;
    },
    describeState: state => String(state),
  };
}
