import { LONGEST } from "./shapes";

/**
 * Cuts Markdown into blocks that can be shown one by one, so that of a growing reply only the last
 * block is parsed again. Joined with the cuts, the blocks are the text.
 *
 * A cut is made only where it cannot change the meaning: around a fence at the margin, and at an
 * empty line outside fences, before a line that continues no list, quotation or table. A text with
 * link or footnote definitions is left whole, because they reach across blocks, unless it is too
 * long to be parsed in one piece.
 */
export function markdownBlocks(text: string): string[] {
  if (text.length <= LONGEST && /^ {0,3}\[[^\]]+\]:/m.test(text)) return [text];
  const blocks: string[] = [];
  let block: string[] = [];
  let fence: string | null = null; // the mark of the fence that is open
  let apart = false; // whether what comes next cannot belong to what came before
  let within = false; // whether a list or a quotation was begun, which may go on
  let afterBlank = false;
  for (const line of text.split("\n")) {
    const opens: string | null = fence === null ? opening(line) : null;
    if (block.length > 0 && fence === null && line.trim() !== "") {
      const fenceAtMargin = opens !== null && !line.startsWith(" ");
      const anew = afterBlank ? !/^\s/.test(line) && !(within && goesOn(line)) : false;
      if (apart || fenceAtMargin || anew || (!within && listAfter(block, line))) {
        blocks.push(block.join("\n"));
        block = [];
        within = false;
      }
    }
    if (line.trim() !== "") apart = false;
    if (opens) fence = opens;
    else if (fence !== null && closes(line, fence)) {
      fence = null;
      apart = !line.startsWith(" ");
    } else if (fence === null && MARKED.test(line)) within = true;
    block.push(line);
    afterBlank = fence === null && line.trim() === "";
  }
  if (block.length > 0) blocks.push(block.join("\n"));
  return blocks;
}

/** A line that begins, or in a moment may begin, an item or a quotation. */
const MARKED = /^ {0,3}(?:>|[-*+](?:\s|$)|\d{1,9}(?:[.)]|$))/;

/** A line at the margin that may continue a list or a quotation above it. */
function goesOn(line: string): boolean {
  return /^(?:>|[-*+]|\d{1,9}[.)]?)/.test(line);
}

/** A list right below the words that lead to it. A formula may hold such a line: `- y`. */
function listAfter(block: readonly string[], line: string): boolean {
  if (!/^(?:[-*+]|1[.)])[ \t]+\S/.test(line)) return false;
  return !block.some((before) => before.includes("$$") || before.includes("\\["));
}

/** The mark of a fence that this line opens. */
function opening(line: string): string | null {
  const found = /^ {0,3}(?:(`{3,})[^`]*|(~{3,}).*)$/.exec(line);
  return found?.[1] ?? found?.[2] ?? null;
}

function closes(line: string, fence: string): boolean {
  const mark = /^ {0,3}(`{3,}|~{3,})[ \t]*$/.exec(line)?.[1];
  return mark !== undefined && mark[0] === fence[0] && mark.length >= fence.length;
}
