'use strict';

/*
 * Turns the code of one execution into something that can be run again and again in one global scope, as in a
 * notebook: top-level names become properties of the global object and may be declared anew, `await` and `import`
 * work at the top, and the last expression is the value. Line and column numbers stay those of the user's code.
 */

const acorn = require('acorn');

const PREFIX = '(async () => {';
const SUFFIX = '\n})';

const META =
  "({ url: require('node:url').pathToFileURL(__filename).href, dirname: __dirname, filename: __filename })";

const PARSER_OPTIONS = {
  ecmaVersion: 'latest',
  sourceType: 'script',
  locations: true,
  allowAwaitOutsideFunction: true,
  allowImportExportEverywhere: true,
  allowReturnOutsideFunction: true,
  allowHashBang: true,
};

/** Replacements of ranges of a text; ranges do not overlap. */
class Edits {
  constructor(text) {
    this.text = text;
    this.list = [];
  }

  replace(start, end, text) {
    this.list.push({ start, end, text, order: this.list.length });
  }

  insert(at, text) {
    this.replace(at, at, text);
  }

  /** Takes a range out but keeps its lines, so that what follows keeps its numbers. */
  blank(start, end) {
    this.replace(start, end, this.text.slice(start, end).replace(/[^\n\r\u2028\u2029]/g, ' '));
  }

  apply() {
    let result = '';
    let at = 0;
    this.list.sort((a, b) => a.start - b.start || a.order - b.order);
    for (const edit of this.list) {
      result += this.text.slice(at, edit.start) + edit.text;
      at = edit.end;
    }
    return result + this.text.slice(at);
  }
}

/** Adds the names that a binding pattern declares. */
function namesOf(pattern, names) {
  switch (pattern && pattern.type) {
    case 'Identifier':
      names.add(pattern.name);
      break;
    case 'ObjectPattern':
      for (const property of pattern.properties) namesOf(property.value || property.argument, names);
      break;
    case 'ArrayPattern':
      for (const element of pattern.elements) namesOf(element, names);
      break;
    case 'AssignmentPattern':
      namesOf(pattern.left, names);
      break;
    case 'RestElement':
      namesOf(pattern.argument, names);
      break;
  }
}

function importOptions(node) {
  if (!node.attributes || node.attributes.length === 0) return '';
  const entries = node.attributes.map((one) => `${JSON.stringify(one.key.name || one.key.value)}: ${one.value.raw}`);
  return `, { with: { ${entries.join(', ')} } }`;
}

class Rewriter {
  constructor(code) {
    this.code = code;
    this.edits = new Edits(code);
    this.names = new Set();
    this.functions = []; // { name, text, line, column }: declared before anything runs
  }

  /** `const {a} = b, c = 1;` becomes `void ({a} = b, c = 1);` */
  declaration(node) {
    const assigned = [];
    for (const one of node.declarations) {
      namesOf(one.id, this.names);
      if (one.init || node.kind !== 'var') assigned.push(one);
    }
    if (assigned.length === 0) {
      this.edits.blank(node.start, node.end);
      this.edits.insert(node.end, ';');
      return;
    }
    this.edits.replace(node.start, node.declarations[0].start, 'void (');
    for (const one of node.declarations) {
      if (!one.init) this.edits.insert(one.end, node.kind === 'var' ? '' : ' = undefined');
    }
    const end = this.code[node.end - 1] === ';' ? node.end - 1 : node.end;
    this.edits.replace(end, node.end, ');');
  }

  /** The head of a loop: `for (var x of y)` becomes `for (x of y)`. */
  loopHead(node) {
    for (const one of node.declarations) namesOf(one.id, this.names);
    this.edits.replace(node.start, node.declarations[0].start, '');
  }

  /** `var` belongs to the whole execution wherever it stands, but not to functions in it. */
  findVars(node) {
    if (!node || typeof node.type !== 'string') return;
    if (/Function|Class/.test(node.type)) return;
    for (const key of Object.keys(node)) {
      for (const child of Array.isArray(node[key]) ? node[key] : [node[key]]) {
        if (!child || typeof child.type !== 'string') continue;
        if (child.type !== 'VariableDeclaration' || child.kind !== 'var') this.findVars(child);
        else if (key === 'left' || key === 'init') this.loopHead(child);
        else this.declaration(child);
      }
    }
  }

  functionDeclaration(node) {
    this.functions.push({
      name: node.id.name,
      text: this.code.slice(node.start, node.end),
      line: node.loc.start.line,
      column: node.loc.start.column,
    });
    this.names.add(node.id.name);
    this.edits.blank(node.start, node.end);
  }

  classDeclaration(node) {
    this.names.add(node.id.name);
    this.edits.insert(node.start, `${node.id.name} = `);
    this.edits.insert(node.end, ';');
  }

  importDeclaration(node) {
    const module = `await import(${node.source.raw}${importOptions(node)})`;
    const picked = [];
    let namespace = '';
    for (const one of node.specifiers) {
      this.names.add(one.local.name);
      if (one.type === 'ImportNamespaceSpecifier') namespace = one.local.name;
      else if (one.type === 'ImportDefaultSpecifier') picked.push(`default: ${one.local.name}`);
      else picked.push(`${one.imported.name || one.imported.raw}: ${one.local.name}`);
    }
    let text = module;
    if (namespace) text = `${namespace} = ${module}`;
    if (picked.length) text = `{ ${picked.join(', ')} } = ${text}`;
    const lines = this.code.slice(node.start, node.end).split('\n').length - 1;
    this.edits.replace(node.start, node.end, `void (${text});${'\n'.repeat(lines)}`);
  }

  /** What a module exports is simply there: the declaration stays, the export goes. */
  exportDeclaration(node) {
    if (node.source) {
      this.edits.replace(node.start, node.end, `await import(${node.source.raw}${importOptions(node)});`);
    } else if (!node.declaration) {
      this.edits.blank(node.start, node.end);
    } else {
      this.edits.blank(node.start, node.declaration.start);
      if (/Declaration$/.test(node.declaration.type) && node.declaration.id !== null) {
        this.statement(node.declaration);
      } else {
        this.edits.insert(node.declaration.start, ';(');
        this.edits.insert(node.declaration.end, ')');
      }
    }
  }

  statement(node) {
    switch (node.type) {
      case 'VariableDeclaration':
        if (/using/.test(node.kind)) break;
        this.declaration(node);
        break;
      case 'FunctionDeclaration':
        this.functionDeclaration(node);
        break;
      case 'ClassDeclaration':
        this.classDeclaration(node);
        break;
      case 'ImportDeclaration':
        this.importDeclaration(node);
        break;
      case 'ExportNamedDeclaration':
      case 'ExportDefaultDeclaration':
      case 'ExportAllDeclaration':
        this.exportDeclaration(node);
        break;
      default:
        this.findVars(node);
    }
  }

  /** `return` in front of the last statement, if that is an expression. */
  value(node) {
    if (!node || node.type !== 'ExpressionStatement') return;
    const end = this.code[node.end - 1] === ';' ? node.end - 1 : node.end;
    this.edits.insert(node.start, 'return (');
    this.edits.insert(end, ')');
  }

  run(program) {
    const body = program.body;
    if (this.code.startsWith('#!')) this.edits.insert(0, '//');
    body.forEach((node) => this.statement(node));
    this.value(body[body.length - 1]);
    return { code: PREFIX + this.edits.apply() + SUFFIX, names: this.names, functions: this.functions };
  }
}

/** `{a: 1}` alone is an object to whoever typed it, not a block. */
function asObjectLiteral(code) {
  if (!/^\s*\{/.test(code) || /;\s*$/.test(code)) return null;
  try {
    acorn.parse(`(${code}\n)`, PARSER_OPTIONS);
    return `(${code}\n)`;
  } catch {
    return null;
  }
}

function findMetaProperties(node, found) {
  if (node.type === 'MetaProperty' && node.meta.name === 'import') found.push(node);
  for (const child of Object.values(node).flat()) if (child && typeof child.type === 'string') findMetaProperties(child, found);
  return found;
}

/** `import.meta` exists in modules only. */
function replaceImportMeta(code) {
  if (!code.includes('import.meta')) return code;
  const edits = new Edits(code);
  for (const node of findMetaProperties(acorn.parse(code, PARSER_OPTIONS), [])) {
    edits.replace(node.start, node.end, META);
  }
  return edits.apply();
}

/** The code does not parse; `cause` is acorn's error, which has `loc`. */
class RewriteError extends Error {}

/**
 * { code, names, functions }: an async function that runs the code and returns its value; the names to define before;
 * the functions to declare before. Throws a RewriteError.
 */
function rewrite(code) {
  try {
    const text = replaceImportMeta(asObjectLiteral(code) || code);
    return new Rewriter(text).run(acorn.parse(text, PARSER_OPTIONS));
  } catch (error) {
    throw error.loc ? new RewriteError(error.message, { cause: error }) : error;
  }
}

/** A syntax error as Node shows it: the place, the line, a caret, the message. */
function describeSyntaxError(error, code, filename) {
  const message = String(error.message).replace(/ \(\d+:\d+\)$/, '');
  const line = code.split(/\r\n|[\n\r\u2028\u2029]/)[error.loc.line - 1] || '';
  const from = Math.max(0, error.loc.column - 100);
  const shown = line.slice(from, error.loc.column + 60);
  const blank = shown.slice(0, error.loc.column - from).replace(/[^\t]/g, ' ');
  return `${filename}:${error.loc.line}\n${shown}\n${blank}^\n\nSyntaxError: ${message}\n`;
}

module.exports = { rewrite, RewriteError, describeSyntaxError, prefixLength: PREFIX.length };
