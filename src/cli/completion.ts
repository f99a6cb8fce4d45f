/** `cardea completion`: a script that completes commands, options and choices in a shell, written from the commands themselves. */
import { Argument, type Command } from 'commander';
import type { Invocation } from './cli.ts';
import { examples } from './output.ts';

const SHELLS = ['bash', 'zsh', 'fish'] as const;

export function describeCompletion(completion: Command, { output, whole }: Invocation): void {
  completion
    .description('print a script that completes commands and options in a shell')
    .addArgument(new Argument('<shell>', 'which shell').choices(SHELLS))
    .addHelpText('after', '\nThe script knows the commands of this release: print it anew after an upgrade.\n')
    .addHelpText(
      'after',
      examples(
        'cardea completion bash > /etc/bash_completion.d/cardea',
        'cardea completion zsh > ~/.zfunc/_cardea',
        'cardea completion fish > ~/.config/fish/completions/cardea.fish',
      ),
    )
    .action(async (shell: (typeof SHELLS)[number]) => output.write(SCRIPTS[shell](placesOf(await whole()))));
}

interface Word {
  word: string;
  /** What it is, in a line. */
  about: string;
  /** What may stand behind it; empty for anything, undefined for nothing. */
  values?: readonly string[];
}

/** A place on the command line: the commands before it, and what may come. */
interface Place {
  /** Such as `user list`; empty for the first word. */
  at: string;
  commands: Word[];
  options: Word[];
  /** What its argument may be, where it is one of a few. */
  values: readonly string[];
}

/** Every place of a tree of commands. */
export function placesOf(command: Command, at = ''): Place[] {
  const help = command.createHelp();
  const inner = help.visibleCommands(command).filter((one) => one.name() !== 'help');
  const place: Place = {
    at,
    commands: inner.map((one) => ({ word: one.name(), about: lineOf(one.description()) })),
    options: help
      .visibleOptions(command)
      .flatMap(({ long, description, required, optional, argChoices }) =>
        long ? [{ word: long, about: lineOf(description), ...(required || optional ? { values: argChoices ?? [] } : {}) }] : [],
      ),
    values: command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? []),
  };
  return [place, ...inner.flatMap((one) => placesOf(one, at === '' ? one.name() : `${at} ${one.name()}`))];
}

const lineOf = (text: string): string => text.split('\n', 1)[0] ?? '';

/** Between single quotes of a POSIX shell, and of zsh. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

const SCRIPTS: Record<(typeof SHELLS)[number], (places: readonly Place[]) => string> = { bash, zsh, fish };

/** Lines of a `case` over where one is, or over an option there. */
const cases = (lines: [key: string, does: string][]): string => lines.map(([key, does]) => `    ${quoted(key)}) ${does} ;;\n`).join('');

const inside = (places: readonly Place[]): string =>
  places
    .filter(({ at }) => at !== '')
    .map(({ at }) => quoted(at))
    .join('|');

const choices = (places: readonly Place[]): [string, readonly string[]][] =>
  places.flatMap(({ at, options }) =>
    options.flatMap(({ word, values }): [string, readonly string[]][] => (values && values.length > 0 ? [[`${at} ${word}`.trim(), values]] : [])),
  );

/** Options behind which a value comes: it is not completed from the commands. */
const takingValues = (places: readonly Place[]): string[] => [
  ...new Set(places.flatMap(({ options }) => options.flatMap(({ word, values }) => (values ? [word] : [])))),
];

function bash(places: readonly Place[]): string {
  return `# Completion of cardea in bash.
_cardea() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} at='' word index found=''
  for ((index = 1; index < COMP_CWORD; index++)); do
    word="\${at:+$at }\${COMP_WORDS[index]}"
    case "$word" in
    ${inside(places)}) at=$word ;;
    esac
  done
  case "\${at:+$at }$previous" in
${cases(choices(places).map(([key, values]) => [key, `found=${quoted(values.join(' '))}`]))}    *)
      case "$previous" in
      ${takingValues(places).join('|')}) COMPREPLY=(); return ;;
      esac
      ;;
  esac
  if [[ -z $found ]]; then
    case "$at" in
${cases(places.map(({ at, commands, options, values }) => [at, `found=${quoted([...commands.map(({ word }) => word), ...values, ...options.map(({ word }) => word)].join(' '))}`]))}    esac
  fi
  COMPREPLY=($(compgen -W "$found" -- "$current"))
}
complete -o default -F _cardea cardea
`;
}

function zsh(places: readonly Place[]): string {
  const described = (words: readonly Word[]): string => words.map(({ word, about }) => quoted(`${word}:${about.replaceAll(':', '\\:')}`)).join(' ');
  const plain = (values: readonly string[]): Word[] => values.map((word) => ({ word, about: '' }));
  return `#compdef cardea
# Completion of cardea in zsh.
_cardea() {
  local at='' word previous=\${words[CURRENT-1]}
  local -a found
  for word in \${words[2,CURRENT-1]}; do
    case "\${at:+$at }$word" in
    ${inside(places)}) at="\${at:+$at }$word" ;;
    esac
  done
  case "\${at:+$at }$previous" in
${cases(choices(places).map(([key, values]) => [key, `compadd -- ${values.map(quoted).join(' ')}; return`]))}  esac
  case "$previous" in
  ${takingValues(places).join('|')}) _files; return ;;
  esac
  case "$at" in
${cases(places.map(({ at, commands, options, values }) => [at, `found=(${described([...commands, ...plain(values), ...options])})`]))}  esac
  _describe 'cardea' found || _files
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _cardea "$@"; else compdef _cardea cardea; fi
`;
}

function fish(places: readonly Place[]): string {
  const escaped = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  const lines = places.flatMap(({ at, commands, options, values }) => {
    const here = `complete -c cardea -n ${escaped(`__cardea_at ${escaped(at)}`)}`;
    return [
      ...commands.map(({ word, about }) => `${here} -f -a ${word} -d ${escaped(about)}`),
      ...(values.length > 0 ? [`${here} -f -a ${escaped(values.join(' '))}`] : []),
      ...options.map(({ word, about, values: taken }) => {
        const value = taken === undefined ? '' : taken.length > 0 ? ` -x -a ${escaped(taken.join(' '))}` : ' -r';
        return `${here} -l ${word.slice(2)}${value} -d ${escaped(about)}`;
      }),
    ];
  });
  return `# Completion of cardea in fish.
function __cardea_at
    set -l at
    for word in (commandline -opc)[2..-1]
        contains -- "$at $word" ${places.flatMap(({ at }) => (at === '' ? [] : [escaped(at.includes(' ') ? at : ` ${at}`)])).join(' ')}
        and set at (string trim -- "$at $word")
    end
    test "$at" = "$argv"
end
${lines.join('\n')}
`;
}
