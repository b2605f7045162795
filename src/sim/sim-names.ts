// The names of the simulated disk: which file stands under which path, as programs see it and as it
// is durable. A name is durable only after its directory was synced; a crash keeps any subset of
// the changes in between.

import type { Path } from '../storage/disk.ts';
import type { Prng } from './prng.ts';
import { type Loss, SimFile } from './sim-file.ts';

type NameChange =
  | { readonly kind: 'link'; readonly path: Path; readonly file: SimFile }
  | { readonly kind: 'unlink'; readonly path: Path }
  | { readonly kind: 'rename'; readonly from: Path; readonly to: Path; readonly file: SimFile }
  | { readonly kind: 'makeDir'; readonly path: Path }
  | { readonly kind: 'removeDir'; readonly path: Path };

interface Pending {
  readonly dir: Path;
  readonly change: NameChange;
}

class View {
  files = new Map<Path, SimFile>();
  dirs = new Set<Path>();

  apply(change: NameChange): void {
    switch (change.kind) {
      case 'link':
        this.files.set(change.path, change.file);
        break;
      case 'unlink':
        this.files.delete(change.path);
        break;
      case 'rename':
        if (this.files.get(change.from) === change.file) this.files.delete(change.from);
        this.files.set(change.to, change.file);
        break;
      case 'makeDir':
        this.dirs.add(change.path);
        break;
      case 'removeDir':
        this.dirs.delete(change.path);
        break;
    }
  }

  hasParent(path: Path): boolean {
    for (let dir = parentOf(path); dir !== ''; dir = parentOf(dir)) {
      if (!this.dirs.has(dir)) return false;
    }
    return true;
  }
}

export class SimNames {
  #seen = new View();
  #durable = new View();
  /** In order. */
  #pending: Pending[] = [];

  get files(): ReadonlyMap<Path, SimFile> {
    return this.#seen.files;
  }

  get(path: Path): SimFile | undefined {
    return this.#seen.files.get(path);
  }

  hasParent(path: Path): boolean {
    return this.#seen.hasParent(path);
  }

  create(path: Path): SimFile {
    const file = new SimFile();
    this.#change(parentOf(path), { kind: 'link', path, file });
    return file;
  }

  makeDir(path: Path): void {
    if (path === '' || this.#seen.dirs.has(path)) return;
    this.#change(parentOf(path), { kind: 'makeDir', path });
  }

  remove(path: Path): void {
    this.#change(parentOf(path), { kind: 'unlink', path });
  }

  removeTree(dir: Path): void {
    for (const path of [...this.#seen.files.keys()]) {
      if (path.startsWith(`${dir}/`)) this.remove(path);
    }
    const inside = [...this.#seen.dirs].filter(path => path.startsWith(`${dir}/`));
    for (const path of [...inside.sort().reverse(), dir]) {
      if (!this.#seen.dirs.has(path)) continue;
      this.#change(parentOf(path), { kind: 'removeDir', path });
    }
  }

  rename(from: Path, to: Path, file: SimFile): void {
    this.#change(parentOf(to), { kind: 'rename', from, to, file });
  }

  list(dir: Path): string[] {
    const names: string[] = [];
    for (const path of [...this.#seen.files.keys(), ...this.#seen.dirs]) {
      if (path !== '' && parentOf(path) === dir) names.push(path.slice(path.lastIndexOf('/') + 1));
    }
    return names.sort();
  }

  /** What a sync of the directory that begins now will cover; call the result at its end. */
  beginSync(dir: Path): () => void {
    const covered = new Set(this.#pending.filter(pending => pending.dir === dir));
    return () => {
      const left: Pending[] = [];
      // Only what no other sync has settled meanwhile: done again, an old removal would take away a
      // file that was made anew since.
      for (const pending of this.#pending) {
        if (covered.has(pending)) this.#durable.apply(pending.change);
        else left.push(pending);
      }
      this.#pending = left;
    };
  }

  /** How many renames it took back. */
  crash(loss: Loss, chance: Prng): number {
    let renamesLost = 0;
    for (const { change } of this.#pending) {
      if (loss === 'kept' || (loss === 'torn' && chance.chance(0.5))) this.#durable.apply(change);
      else if (change.kind === 'rename') renamesLost += 1;
    }
    this.#pending = [];
    for (const path of [...this.#durable.files.keys()]) {
      if (!this.#durable.hasParent(path)) this.#durable.files.delete(path);
    }
    for (const file of new Set(this.#durable.files.values())) file.crash(loss, chance);
    this.#seen.files = new Map(this.#durable.files);
    this.#seen.dirs = new Set(this.#durable.dirs);
    return renamesLost;
  }

  detach(): void {
    for (const file of this.#seen.files.values()) file.detach();
  }

  /** Only what would be there after a power loss that takes everything it can. */
  cloneDurable(): SimNames {
    const copy = new SimNames();
    for (const [path, file] of this.#durable.files) {
      if (!this.#durable.hasParent(path)) continue;
      const clone = file.cloneDurable();
      copy.#seen.files.set(path, clone);
      copy.#durable.files.set(path, clone);
    }
    copy.#seen.dirs = new Set(this.#durable.dirs);
    copy.#durable.dirs = new Set(this.#durable.dirs);
    return copy;
  }

  /** Under this prefix everything is as in the image again: newer files are gone, removed ones are back. */
  putBack(image: SimNames, prefix: string): void {
    const { files, dirs } = image.cloneDurable().#durable;
    for (const view of [this.#seen, this.#durable]) {
      for (const path of [...view.files.keys()])
        if (path.startsWith(prefix)) view.files.delete(path);
      for (const [path, file] of files) if (path.startsWith(prefix)) view.files.set(path, file);
      if (prefix === '') view.dirs = new Set(dirs);
    }
  }

  #change(dir: Path, change: NameChange): void {
    this.#seen.apply(change);
    this.#pending.push({ dir, change });
  }
}

function parentOf(path: Path): Path {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? '' : path.slice(0, slash);
}
