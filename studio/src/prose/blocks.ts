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
  let fence: string | null = null;
  let apart = false; // whether what comes next cannot belong to what came before
  let afterBlank = false;
  for (const line of text.split("\n")) {
    const opens: string | null = fence === null ? opening(line) : null;
    const atMargin = opens !== null && !line.startsWith(" ");
    if (block.length > 0 && fence === null)
      if (apart || atMargin || (afterBlank && startsAnew(line))) {
        if (!apart || line.trim() !== "") {
          blocks.push(block.join("\n"));
          block = [];
        }
      }
    if (line.trim() !== "") apart = false;
    if (opens) fence = opens;
    else if (fence !== null && closes(line, fence)) {
      fence = null;
      apart = !line.startsWith(" ");
    }
    block.push(line);
    afterBlank = fence === null && line.trim() === "";
  }
  if (block.length > 0) blocks.push(block.join("\n"));
  return blocks;
}

/** The mark of a fence that this line opens. */
function opening(line: string): string | null {
  const found = /^ {0,3}(?:(`{3,})[^`]*|(~{3,}).*)$/.exec(line);
  return found?.[1] ?? found?.[2] ?? null;
}

/** A line that neither continues something above nor could still turn into what does. */
function startsAnew(line: string): boolean {
  return line !== "" && !/^(\s|>|\||[-*+]|\d{1,9}[.)]?)/.test(line);
}

function closes(line: string, fence: string): boolean {
  const mark = /^ {0,3}(`{3,}|~{3,})[ \t]*$/.exec(line)?.[1];
  return mark !== undefined && mark[0] === fence[0] && mark.length >= fence.length;
}
