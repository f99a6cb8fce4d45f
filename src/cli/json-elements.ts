/** The elements of a long list in JSON, one after another, without the list as a whole. */
import { badInput } from '../errors.ts';

/** A longer element is none. */
const MAX_ELEMENT = 4 * 1024 * 1024;

/**
 * The text of every element of a list: of the whole document, or the one under `key` at its top.
 * @throws AppError on `file` where there is no such list, or it does not end
 */
export async function* elementsOf(chunks: AsyncIterable<string>, key: string): AsyncGenerator<{ index: number; text: string }> {
  const reader = new Reader(key);
  for await (const chunk of chunks) {
    yield* reader.read(chunk);
    if (reader.isOver) return;
  }
  throw badInput('file', reader.isWithin ? 'The file ends in the middle of its list.' : `The file holds no list of ${key}.`);
}

class Reader {
  readonly #key: string;
  #depth = 0;
  #inText = false;
  #escaped = false;
  /** The last text at the top of an object: a key, where a colon follows. */
  #text = '';
  /** The key whose value comes. */
  #about = '';
  /** How deep the elements stand. */
  #within = 0;
  #element = '';
  #index = 0;
  isOver = false;

  constructor(key: string) {
    this.#key = key;
  }

  get isWithin(): boolean {
    return this.#within > 0;
  }

  *read(chunk: string): Generator<{ index: number; text: string }> {
    for (const character of chunk) {
      if (this.isOver) return;
      if (this.#inText) this.#quoted(character);
      else if (this.#isEnd(character)) {
        const text = this.#element.trim();
        this.#element = '';
        if (text !== '') yield { index: this.#index++, text };
        if (character === ',') continue;
        this.isOver = true;
      } else this.#plain(character);
    }
  }

  /** Whether an element ends here, or the list. */
  #isEnd(character: string): boolean {
    return this.#within > 0 && this.#depth === this.#within && (character === ',' || character === ']');
  }

  #quoted(character: string): void {
    this.#keep(character);
    if (this.#escaped) this.#escaped = false;
    else if (character === '\\') this.#escaped = true;
    else if (character === '"') {
      this.#inText = false;
      return;
    }
    if (this.#within === 0 && this.#depth === 1 && this.#text.length < 100) this.#text += character;
  }

  #plain(character: string): void {
    const opens = character === '{' || character === '[';
    if (this.#within === 0 && character === '[' && (this.#depth === 0 || (this.#depth === 1 && this.#about === this.#key))) {
      this.#depth += 1;
      this.#within = this.#depth;
      return;
    }
    this.#keep(character);
    if (character === '"') {
      this.#inText = true;
      this.#text = '';
    } else if (opens) this.#depth += 1;
    else if (character === '}' || character === ']') this.#depth -= 1;
    else if (this.#depth === 1 && character === ':') this.#about = this.#text;
    else if (this.#depth === 1 && character === ',') this.#about = '';
  }

  #keep(character: string): void {
    if (this.#within === 0) return;
    this.#element += character;
    if (this.#element.length > MAX_ELEMENT)
      throw badInput('file', `Number ${this.#index + 1} of the list is larger than ${MAX_ELEMENT / 1024 / 1024} MiB.`);
  }
}
