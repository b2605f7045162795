// What the whole cluster has ever promised, kept beside it: who led which term, who voted for whom
// on durable storage, what was committed. Every step of every core, every message and every
// completion of a log write passes here, so a broken promise is named when it happens and not when
// it shows. Constant cost a step; a log is compared by one hash (shadow-log.ts).

import type { Input } from '../raft/io.ts';
import type { Message } from '../raft/messages.ts';
import type { TraceEvent } from '../raft/trace.ts';
import type { Configuration, Entry, LogIndex, NodeId, Term } from '../raft/types.ts';
import { NO_NODE } from '../raft/types.ts';
import type { Judge } from './judge.ts';
import { NodeShadow } from './node-shadow.ts';
import { describe, hasVote, isEnough, isQuorum } from './quorums.ts';
import { ShadowLog } from './shadow-log.ts';
import { SpecWatch } from './spec-watch.ts';
import { VoteWatch } from './vote-watch.ts';
import type { LeaderCommit, WatchableCore } from './watched.ts';

export class Shadow {
  readonly judge: Judge;
  /** Hashes of the committed log; grows, never changes. */
  readonly committed = new ShadowLog();
  /** The term that each of its entries was committed in, which may be later than its own. */
  readonly #committedIn: Term[] = [0];
  readonly spec: SpecWatch;
  readonly #votes: VoteWatch;
  /** Configurations that were ever in a log. */
  #configs: { index: LogIndex; term: Term; config: Configuration }[] = [];
  elections = 0;
  readonly #leaders = new Map<Term, NodeId>();
  /** The last round that the leader of a term has sent to anybody. */
  readonly #rounds = new Map<Term, number>();
  /** Terms that a candidate began. */
  readonly #begun = new Set<Term>();
  /** Durable votes: term to voter to candidate. */
  readonly #durableVotes = new Map<Term, Map<NodeId, NodeId>>();
  /** The one hash that a log may have up to (index, term). */
  readonly #chains = new Map<number, number>();
  readonly #nodes = new Map<NodeId, NodeShadow>();
  // What is checked at every step is counted here: these are the simulator's hot loop.
  #steps = 0;
  #leaderSteps = 0;
  #entries = 0;
  #acknowledgements = 0;

  constructor(judge: Judge) {
    this.judge = judge;
    this.spec = new SpecWatch(judge);
    this.#votes = new VoteWatch(judge);
  }

  node(id: NodeId): NodeShadow {
    let node = this.#nodes.get(id);
    if (node === undefined) {
      node = new NodeShadow(id, this);
      this.#nodes.set(id, node);
    }
    return node;
  }

  get nodes(): Iterable<NodeShadow> {
    return this.#nodes.values();
  }

  /** How often each of the invariants that are checked in here by the way was looked at. */
  get checks(): Record<string, number> {
    return {
      'A-02': this.#steps,
      'A-14': this.#steps,
      'A-08': this.#leaderSteps,
      'A-09': this.#entries,
      'A-27': this.#acknowledgements,
      'A-29': this.#acknowledgements,
      echo: this.#acknowledgements,
      spec: this.spec.steps,
    };
  }

  get commitIndex(): LogIndex {
    return this.committed.lastIndex;
  }

  // -------------------------------------------------------------------------- the log

  /** the same index and term, the same log. */
  noteChain(node: NodeId, term: Term, index: LogIndex, hash: number): void {
    const key = term * 2 ** 28 + index;
    const known = this.#chains.get(key);
    if (known === undefined) this.#chains.set(key, hash);
    else if (known !== hash) {
      const text = `the logs of node ${node} and of another agree in ${index}/${term}`;
      this.judge.fail('A-09', node, `${text} (index/term) but not in what comes before or there`);
    }
    this.#entries += 1;
  }

  /** this node says that its log up to `index` is committed. */
  noteCommit(node: NodeShadow, to: LogIndex): void {
    const { committed } = this;
    const log = node.handed;
    const known = Math.min(to, committed.lastIndex);
    const theirs = log.chainAt(known);
    const ours = committed.chainAt(known);
    const agrees = theirs === undefined || ours === undefined || theirs === ours;
    this.judge.check('A-11', node.id, agrees, () => {
      const text = `node ${node.id} takes entry ${known} of term ${log.termAt(known)} for committed`;
      return `${text}, where one of term ${committed.termAt(known)} was committed before`;
    });
    for (let index = committed.lastIndex + 1; index <= to; index++) {
      const [term, hash] = [log.termAt(index), log.chainAt(index)];
      if (term === undefined || hash === undefined) {
        this.judge.fail('A-14', node.id, `node ${node.id} commits ${index}, beyond its log`);
        return;
      }
      committed.push(term, hash);
      this.#committedIn.push(node.term);
    }
  }

  // -------------------------------------------------------------------------- steps

  /** A follower's or leader's step; the core is asked only where it is needed. */
  step(event: TraceEvent, input: Input, core: WatchableCore): void {
    const { was, now, node: id } = event;
    const node = this.node(id);
    const { judge } = this;
    this.#steps += 1;
    if (input.kind === 'tick') node.ticksSilent += 1;
    // A tick that changes nothing is judged by what was known before.
    if (now === was && input.kind === 'tick' && now.role !== 'leader') return;
    if (now.term < was.term || now.term < node.term) {
      const before = Math.max(was.term, node.term);
      judge.fail('A-02', id, `node ${id} went from term ${before} back to ${now.term}`);
    }
    if (now.term > was.term) this.#termRose(event);
    if (now.stableIndex >= node.firstUnderWay) {
      const text = `node ${id} takes entry ${now.stableIndex} for durable`;
      judge.fail('A-27', id, `${text}, while ${node.firstUnderWay} and on are being written`);
    }
    node.term = now.term;
    node.commitIndex = now.commitIndex;
    node.isLeader = now.role === 'leader';
    if (now.appliedIndex > now.commitIndex || now.commitIndex > now.last.index) {
      const places = `applied ${now.appliedIndex}, committed ${now.commitIndex}`;
      judge.fail('A-14', id, `node ${id}: ${places}, last ${now.last.index}`);
    }
    if (now.role === 'leader') this.#checkLeader(node, event, core);
    if (input.kind === 'receive') this.#votes.received(node, event, input.message, core);
    if (event.halt !== null || node.lostUpTo > 0) this.#checkLoss(node, event, input);
    this.spec.step(event, input, core);
  }

  /** By what the node has in memory, as its leader has the word: the specification goes by its own log. */
  #checkLoss(node: NodeShadow, { was, halt }: TraceEvent, input: Input): void {
    const m = input.kind === 'receive' && input.message.kind === 'append' ? input.message : null;
    const told = m !== null && m.term === was.term && m.acknowledged > was.last.index;
    this.judge.check('loss', node.id, !told || halt !== null, () => {
      const text = `node ${node.id} is told by ${m?.from} that it acknowledged entry ${m?.acknowledged}`;
      return `${text}, has entries up to ${was.last.index}, and goes on`;
    });
    if (halt === null) return;
    if (!node.halted) this.judge.mark('lossDetected');
    node.halted = true;
    const lost = node.lostUpTo > 0 && halt.kind !== 'twoLeaders';
    this.judge.check('loss', node.id, lost, () => {
      return `node ${node.id} stops for ${halt.kind}, and has lost nothing`;
    });
  }

  /** a term begins with a candidacy. A question about one (pre-vote) is none. */
  #termRose({ node, now }: TraceEvent): void {
    if (now.role === 'candidate') this.#begun.add(now.term);
    this.judge.check('A-07', node, this.#begun.has(now.term), () => {
      return `node ${node} is in term ${now.term}, in which nobody ever ran for leader`;
    });
  }

  #checkLeader(node: NodeShadow, event: TraceEvent, core: WatchableCore): void {
    const { judge } = this;
    const { was, now } = event;
    if (was.role !== 'leader') this.#elected(node, now.term, core.report().config);
    if (this.committed.lastTerm > now.term) this.#deposed(event);
    if (was.role === 'leader' && was.term === now.term) {
      this.#leaderSteps += 1;
      if (now.last.index < was.last.index) {
        const lost = `lost entries ${now.last.index + 1} and on`;
        judge.fail('A-08', node.id, `leader ${node.id} of term ${now.term} ${lost}`);
      }
    }
  }

  /** a leader that another one has followed answers no read on its own authority. */
  #deposed({ node, now, rules }: TraceEvent): void {
    const { lastTerm } = this.committed;
    const usesLease = rules.some(({ rule }) => rule === '§6.4.1');
    this.judge.check('A-26', node, !usesLease, () => {
      const text = `leader ${node} of term ${now.term} answers a read under its lease`;
      return `${text}, after an entry of term ${lastTerm} was committed`;
    });
  }

  /** A leader's commit moved: called once its Ready, with the entries it means, was seen. */
  leaderCommitted(node: NodeShadow, { term, index, config }: LeaderCommit): void {
    const { judge } = this;
    const own = node.handed.termAt(index);
    judge.check('A-16', node.id, own === term, () => {
      return `leader ${node.id} of term ${term} counts replicas of entry ${index} of term ${own}`;
    });
    const hash = node.handed.chainAt(index);
    const holders: NodeId[] = [];
    for (const other of this.#nodes.values()) {
      if (other.durable.chainAt(index) === hash) holders.push(other.id);
      else if (other.durable.base > index) holders.push(other.id);
    }
    this.#countsVoters(node, config, holders, `commits entry ${index}`);
    judge.check('A-10', node.id, isQuorum(config, holders), () => {
      const text = `leader ${node.id} commits entry ${index} of term ${term}`;
      return `${text}; durable only on ${holders.join(', ') || 'no node'} of ${describe(config)}`;
    });
  }

  /** learners and outsiders hold the log, too, and a removed node may vote: none of them counts. */
  #countsVoters(node: NodeShadow, config: Configuration, nodes: NodeId[], does: string): void {
    const others = nodes.filter(id => !hasVote(config, id));
    if (others.length === 0) return;
    const holds = isQuorum(config, nodes) || !isEnough(config, nodes);
    this.judge.check('A-20', node.id, holds, () => {
      return `node ${node.id} ${does} of ${describe(config)} by counting ${others}, who have no vote`;
    });
  }

  #elected(node: NodeShadow, term: Term, config: Configuration): void {
    const { judge } = this;
    this.elections += 1;
    const other = this.#leaders.get(term);
    judge.check('A-01', node.id, other === undefined || other === node.id, () => {
      return `nodes ${other} and ${node.id} both lead term ${term}`;
    });
    this.#leaders.set(term, node.id);
    const voters = [...(this.#durableVotes.get(term) ?? [])]
      .filter(([, candidate]) => candidate === node.id)
      .map(([voter]) => voter);
    this.#countsVoters(node, config, voters, `leads term ${term}`);
    judge.check('A-05', node.id, isQuorum(config, voters), () => {
      const text = `node ${node.id} leads term ${term} of ${describe(config)}`;
      return `${text} with the durable votes of ${voters.join(', ') || 'nobody'}`;
    });
    // A leader of an old term that comes late need not have what later terms committed.
    const last = this.#committedIn.findLastIndex(at => at < term);
    const theirs = node.handed.chainAt(last);
    const complete = theirs === this.committed.chainAt(last) || node.handed.base > last;
    judge.check('A-11', node.id, complete, () => {
      return `node ${node.id} leads term ${term} without the committed entry ${last}`;
    });
  }

  // -------------------------------------------------------------------------- durability

  voteDurable(voter: NodeId, term: Term, candidate: NodeId): void {
    if (candidate === NO_NODE) return;
    let votes = this.#durableVotes.get(term);
    if (votes === undefined) {
      votes = new Map();
      this.#durableVotes.set(term, votes);
    }
    const before = votes.get(voter);
    this.judge.check('A-03', voter, before === undefined || before === candidate, () => {
      return `node ${voter} voted for ${before} and for ${candidate} in term ${term}`;
    });
    votes.set(voter, candidate);
  }

  /** Promises that leave a node must stand on its disk already. */
  sent(m: Message): void {
    this.spec.sent(m);
    if (m.kind === 'append' || m.kind === 'snapshot') {
      if (m.round > this.#roundOf(m.term)) this.#rounds.set(m.term, m.round);
      return;
    }
    if (m.kind === 'voteReply') {
      if (!m.granted || m.preVote) return;
      // A durable later term does as well: the node can't vote in this one again. Then the word that
      // leaves is the vote.
      const isPast = this.node(m.from).vote.term > m.term;
      if (isPast) this.voteDurable(m.from, m.term, m.to);
      const durable = this.#durableVotes.get(m.term)?.get(m.from);
      this.judge.check('A-04', m.from, durable === m.to, () => {
        return `node ${m.from} tells ${m.to} of its vote in term ${m.term} before it is durable`;
      });
    } else if (m.kind === 'appendAccepted') {
      const node = this.node(m.from);
      const { syncFailed } = node;
      this.#acknowledgements += 1;
      this.#checkEcho(m);
      if (m.match > node.durable.lastIndex && !node.wasDurable(m.match, m.term)) {
        const text = `node ${m.from} tells ${m.to} that it holds entry ${m.match}`;
        const end = `but its durable log ends at ${node.durable.lastIndex}`;
        this.judge.fail('A-27', m.from, `${text}, ${end}`);
      }
      if (syncFailed) {
        const text = `node ${m.from} acknowledges entry ${m.match} after a sync failed`;
        this.judge.fail('A-29', m.from, text);
      }
    } else if (m.kind === 'appendRejected' || m.kind === 'snapshotReply') this.#checkEcho(m);
  }

  #roundOf(term: Term): number {
    return this.#rounds.get(term) ?? 0;
  }

  /** A round stands for leadership: echoed in another term it confirms reads that nobody may serve. */
  #checkEcho({ from, to, term, round }: Message & { readonly round: number }): void {
    if (round <= this.#roundOf(term)) return;
    const text = `node ${from} confirms round ${round} to ${to} in term ${term}`;
    this.judge.fail('echo', from, `${text}, whose leader began ${this.#roundOf(term)}`);
  }

  // -------------------------------------------------------------------------- configurations

  noteConfig({ index, term, config }: Entry): void {
    if (config === null || this.#configs.some(c => c.index === index && c.term === term)) return;
    this.#configs.push({ index, term, config });
    this.judge.mark(config.outgoing.length > 0 ? 'jointConfiguration' : 'configuration');
  }

  /** The newest committed configuration, and those beyond the commit that may yet be in force. */
  liveConfigurations(founding: Configuration): Configuration[] {
    const { committed } = this;
    let newest: { index: LogIndex; config: Configuration } = { index: 0, config: founding };
    for (const { index, term, config } of this.#configs) {
      if (index > newest.index && committed.termAt(index) === term) newest = { index, config };
    }
    const beyond = this.#configs.filter(({ index }) => index > committed.lastIndex);
    return [newest.config, ...beyond.map(({ config }) => config)];
  }
}
