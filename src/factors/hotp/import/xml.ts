/**
 * XML as far as a file of tokens needs it: elements with their namespaces resolved, and their text. No document type, so
 * that there are no entities but the five of XML itself.
 */
import { XMLParser, XMLValidator } from 'fast-xml-parser';
import { wrongFile } from './entry.ts';

export interface Element {
  /** The namespace, then the local name: `{urn:…}Key`. */
  name: string;
  attributes: ReadonlyMap<string, string>;
  children: Element[];
  /** Its own text, without that of its children, trimmed. */
  text: string;
}

/** The deepest PSKC is eight elements deep. */
const MAX_DEPTH = 32;
const NO_NAMESPACES: ReadonlyMap<string, string> = new Map();
const ATTRIBUTES = ':@';
const TEXT = '#text';

/** @throws AppError `bad_input` (field `file`), which never quotes the file */
export function readXml(text: string): Element {
  if (/<!(DOCTYPE|ENTITY)/i.test(text)) throw wrongFile('The file has a document type (DOCTYPE), which is not read. Remove it.');
  // The parser takes much for XML that is none.
  const valid = XMLValidator.validate(text);
  if (valid !== true) throw wrongFile(`The file is not XML; line ${valid.err.line} is the first that is wrong.`);
  const parser = new XMLParser({
    preserveOrder: true,
    ignoreAttributes: false,
    attributeNamePrefix: '',
    processEntities: false,
    parseTagValue: false,
    parseAttributeValue: false,
    ignoreDeclaration: true,
    ignorePiTags: true,
  });
  const roots = elementsOf(parsed(parser, text), NO_NAMESPACES, 0);
  const [root] = roots;
  if (root === undefined || roots.length !== 1) throw wrongFile('The file is not XML with one element that holds all others.');
  return root;
}

/** The first child of that name in the same namespace, and so on down. */
export function child(element: Element | undefined, ...path: string[]): Element | undefined {
  let found = element;
  for (const name of path) found = found && childrenOf(found, name)[0];
  return found;
}

export const childrenOf = (element: Element, name: string): Element[] =>
  element.children.filter((one) => one.name === `${namespaceOf(element)}${name}`);

export const localName = ({ name }: Element): string => name.slice(name.indexOf('}') + 1);
export const namespaceOf = ({ name }: Element): string => name.slice(0, name.indexOf('}') + 1);

function parsed(parser: XMLParser, text: string): unknown {
  try {
    return parser.parse(text);
  } catch {
    // Its message may quote the file.
    throw wrongFile('The file is not XML that can be read.');
  }
}

/** A list of the parser: `{ 'prefix:Name': [children], ':@': { attribute: value } }` and `{ '#text': … }`. */
function elementsOf(nodes: unknown, outer: ReadonlyMap<string, string>, depth: number): Element[] {
  if (depth > MAX_DEPTH) throw wrongFile('The elements of the file are nested too deep.');
  if (!Array.isArray(nodes)) return [];
  return nodes.flatMap((node: unknown) => {
    if (typeof node !== 'object' || node === null) return [];
    const fields = new Map<string, unknown>(Object.entries(node));
    const written = [...fields.keys()].find((key) => key !== ATTRIBUTES && key !== TEXT);
    if (written === undefined) return [];
    const attributes = new Map(Object.entries(Object(fields.get(ATTRIBUTES))).map(([name, value]) => [name, decoded(String(value))]));
    const namespaces = declared(attributes, outer);
    const children = fields.get(written);
    return [{ name: resolved(written, namespaces), attributes, children: elementsOf(children, namespaces, depth + 1), text: textOf(children) }];
  });
}

function declared(attributes: ReadonlyMap<string, string>, outer: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const own = [...attributes].filter(([name]) => name === 'xmlns' || name.startsWith('xmlns:'));
  return own.length === 0 ? outer : new Map([...outer, ...own.map(([name, uri]): [string, string] => [name.slice('xmlns:'.length), uri])]);
}

function resolved(written: string, namespaces: ReadonlyMap<string, string>): string {
  const [prefix, local] = written.includes(':') ? written.split(':', 2) : ['', written];
  return `{${namespaces.get(prefix ?? '') ?? ''}}${local}`;
}

function textOf(children: unknown): string {
  if (!Array.isArray(children)) return '';
  return children
    .map((one: unknown) => (typeof one === 'object' && one !== null && TEXT in one ? decoded(String(one[TEXT])) : ''))
    .join('')
    .trim();
}

const ENTITIES: ReadonlyMap<string, string> = new Map([
  ['amp', '&'],
  ['lt', '<'],
  ['gt', '>'],
  ['quot', '"'],
  ['apos', "'"],
]);

/** The five entities of XML and character references (XML 1.0 section 4.6 and 4.1); there can be no others. */
function decoded(text: string): string {
  return text.replace(/&(?:#x([0-9a-f]{1,6})|#(\d{1,7})|([^;&]{0,40}));?/gi, (_, hex?: string, decimal?: string, name?: string) => {
    const code = hex ? Number.parseInt(hex, 16) : Number(decimal);
    const character = name === undefined ? (code <= 0x10ffff ? String.fromCodePoint(code) : undefined) : ENTITIES.get(name);
    if (character === undefined) throw wrongFile('The file has a reference to a character or an entity that does not exist.');
    return character;
  });
}
