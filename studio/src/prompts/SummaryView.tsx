import { useLanguage, useText } from "../i18n";
import { count, decimal, percent, short } from "../i18n/format";
import { summaryOf } from "./bench";
import type { Row } from "./rows";
import { useColumn, type BenchRun } from "./useBench";

interface Props {
  bench: BenchRun;
  column: string;
  rows: readonly Row[];
}

/** What a way's answers come to, together. */
export function SummaryView({ bench, column, rows }: Props) {
  const text = useText();
  const words = text.prompts;
  const language = useLanguage();
  const sum = summaryOf(useColumn(bench.queue, column, rows));
  const none = "–";
  const told = (value: number | null, show: (value: number) => string) =>
    value === null ? none : show(value);
  return (
    <dl className="sum small numbers">
      <div>
        <dt>{words.count}</dt>
        <dd>
          {count(language, sum.ended)}
          {sum.failed > 0 ? ` · ${words.failures(count(language, sum.failed))}` : ""}
        </dd>
      </div>
      <div>
        <dt>{words.meanTokens}</dt>
        <dd>{told(sum.tokens, (value) => decimal(language, value))}</dd>
      </div>
      <div>
        <dt>{words.meanSeconds}</dt>
        <dd>{told(sum.seconds, (value) => decimal(language, value))}</dd>
      </div>
      <div>
        <dt>{words.cost}</dt>
        <dd>
          {sum.ended === 0
            ? none
            : sum.dollars === null
              ? words.unpriced
              : sum.dollars === 0
                ? words.free
                : words.money(short(language, sum.dollars))}
        </dd>
      </div>
      <div title={words.agreementWhy}>
        <dt>{words.agreement}</dt>
        <dd>{told(sum.agreement, (value) => percent(language, value))}</dd>
      </div>
    </dl>
  );
}
