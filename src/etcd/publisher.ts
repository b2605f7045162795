// After a start: says what this member waits for while there is no leader, and tells the others under
// which name and URLs it serves clients. Until that is in the log the member is not ready.

import type { KontikiError } from '../node/errors.ts';
import type { Member } from './member.ts';
import { encodeMemberCommand, type MemberInfo } from './members.ts';

const CHECK_MS = 20;
const WAITING_LOG_MS = 5000;
const FIRST_CAMPAIGN_SPREAD_MS = 150;

export class Publisher {
  readonly done: Promise<void>;
  readonly #member: Member;
  #resolve: () => void = () => {};
  #timer: NodeJS.Timeout | null = null;
  #stopped = false;
  #campaignAt: number | null = null;
  #campaigned = false;
  #loggedAt = performance.now();

  constructor(member: Member) {
    this.#member = member;
    this.done = new Promise(resolve => {
      this.#resolve = resolve;
    });
    this.#check();
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  #check(): void {
    if (this.#stopped) return;
    if (this.#member.driver.leader === 0) {
      this.#maybeCampaign();
      this.#logWaiting();
      this.#again();
    } else {
      this.#publish();
    }
  }

  /**
   * A member that has just started need not wait for a whole election timeout: once it reaches a
   * quorum it asks for an election, after a pause by chance. The question before the vote (§9.6)
   * keeps it from disturbing a leader that the others hear.
   */
  #maybeCampaign(): void {
    const { raft, links } = this.#member.driver.report();
    const connected = 1 + links.filter(link => link.state === 'connected').length;
    const isQuorum = 2 * connected > raft.config.voters.length;
    if (!isQuorum || !this.#member.config.preVote) return;
    this.#campaignAt ??= performance.now() + Math.random() * FIRST_CAMPAIGN_SPREAD_MS;
    if (this.#campaigned || performance.now() < this.#campaignAt) return;
    this.#campaigned = true;
    this.#member.driver.campaign();
  }

  #again(): void {
    if (!this.#stopped) this.#timer = setTimeout(() => this.#check(), CHECK_MS);
  }

  #publish(): void {
    const { driver, members, config, id } = this.#member;
    const known = members.get(id);
    const wanted: MemberInfo = {
      id,
      name: config.name,
      peerUrls: known?.peerUrls ?? config.initialAdvertisePeerUrls,
      clientUrls: config.advertiseClientUrls,
    };
    if (JSON.stringify(known) === JSON.stringify(wanted)) return this.#ready();
    driver.propose(encodeMemberCommand(wanted), {
      applied: () => this.#ready(),
      // Telling it twice is harmless, so an unknown outcome is tried again as well.
      failed: (_: KontikiError) => this.#again(),
    });
  }

  #ready(): void {
    const { logger, config } = this.#member;
    logger.info('ready to serve client requests', { name: config.name });
    this.#resolve();
  }

  #logWaiting(): void {
    if (performance.now() - this.#loggedAt < WAITING_LOG_MS) return;
    this.#loggedAt = performance.now();
    const { driver, members, config, logger } = this.#member;
    const { links, raft } = driver.report();
    const missing = links
      .filter(link => link.state !== 'connected')
      .map(link => `${members.nameOf(link.id)} (${link.problem ?? link.state})`);
    const voters = raft.config.voters.length;
    const have = voters - missing.length;
    const need = Math.floor(voters / 2) + 1;
    const message =
      have < need
        ? `waiting for quorum: have ${have} of ${voters}; need ${need - have} more of ${missing.join(', ')}`
        : 'waiting for an election to end';
    logger.warn(message, { name: config.name, term: raft.currentTerm });
  }
}
