import type { Outcome } from "../api/training";
import { useLanguage, useText } from "../i18n";
import { bits, bytes, compact } from "../i18n/format";
import { duration } from "../jobs/words";

interface Props {
  expected: Outcome | null;
  /** What came; undefined before the beginning, when nothing can have come. */
  measured?: Outcome | null;
}

/** What the plan says, beside what came of it. */
export function Outcomes({ expected, measured }: Props) {
  const text = useText();
  const language = useLanguage();
  const words = text.training;
  const known = (value: number | null, say: (value: number) => string) =>
    value === null ? null : say(value);
  const rows: readonly (readonly [string, (outcome: Outcome) => string | null])[] = [
    [words.parameters, (of) => known(of.parameters, (n) => compact(language, n))],
    [words.tokenCount, (of) => known(of.tokens, (n) => compact(language, n))],
    [words.time, (of) => known(of.seconds, (n) => duration(language, n))],
    [words.memory, (of) => known(of.memory_bytes, (n) => bytes(language, n))],
    [words.bitsPerByte, (of) => interval(language, of)],
  ];
  return (
    <table className="outcome numbers">
      <thead>
        <tr>
          <td />
          <th scope="col">{words.expected}</th>
          {measured === undefined ? null : <th scope="col">{words.measured}</th>}
        </tr>
      </thead>
      <tbody>
        {rows.map(([name, say]) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td>{(expected && say(expected)) || "–"}</td>
            {measured === undefined ? null : <td>{(measured && say(measured)) || "–"}</td>}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function interval(language: ReturnType<typeof useLanguage>, outcome: Outcome): string | null {
  const { bits_per_byte: value, bits_per_byte_low: low, bits_per_byte_high: high } = outcome;
  if (value === null) return null;
  if (low === null || high === null) return bits(language, value);
  return `${bits(language, value)} (${bits(language, low)}–${bits(language, high)})`;
}
