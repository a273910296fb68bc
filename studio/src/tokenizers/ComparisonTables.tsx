import { useState } from "react";

import { useLanguage, useText } from "../i18n";
import { bytes, count, decimal, percent, percentCut } from "../i18n/format";
import { groupsOf, type Comparison, type Fertility, type Measured } from "./comparison";
import { NumberedBox, PieceFlow } from "./PieceFlow";

/** A comparison in numbers, by language, by script, and in the pieces of a sentence. */
export function ComparisonTables({ title, found }: { title: string; found: Comparison }) {
  const text = useText();
  const language = useLanguage();
  const words = text.tokenizers;
  const [numbered, setNumbered] = useState(false);
  return (
    <section className="stack">
      <h3 translate="no">{title}</h3>
      <p className="small soft">
        {words.measured(bytes(language, found.trained_on), bytes(language, found.held_out))}
      </p>
      <Numbers rows={found.rows} />
      <h4>{words.byLanguage}</h4>
      <Fertilities rows={found.rows} of={(row) => row.languages} caption={words.byLanguage} />
      <h4>{words.byScript}</h4>
      <Fertilities rows={found.rows} of={(row) => row.scripts} caption={words.byScript} />
      {found.rows.some((row) => row.shown.length > 0) ? (
        <NumberedBox on={numbered} onChange={setNumbered} />
      ) : null}
      {found.rows
        .filter((row) => row.shown.length > 0)
        .map((row) => (
          <div key={row.name} className="stack cut">
            <h4>
              <span translate="no">{row.name}</span>{" "}
              <span className="small soft numbers">
                {words.tokens(count(language, row.shown.length))}
              </span>
            </h4>
            <PieceFlow pieces={row.shown} numbered={numbered} />
          </div>
        ))}
    </section>
  );
}

function Numbers({ rows }: { rows: readonly Measured[] }) {
  const language = useLanguage();
  const words = useText().tokenizers;
  return (
    <div className="table-box wide" tabIndex={0} role="region" aria-label={words.compare}>
      <table className="numbers small">
        <thead>
          <tr>
            <th scope="col">{words.name}</th>
            <th scope="col">{words.size}</th>
            <th scope="col">{words.bytesPerToken}</th>
            <th scope="col">{words.roundTrip}</th>
            <th scope="col">{words.used}</th>
            <th scope="col">{words.speed}</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.name}>
              <th scope="row" translate="no">
                {row.name}
              </th>
              <td>{count(language, row.pieces)}</td>
              <td>{decimal(language, row.bytes_per_token, 2)}</td>
              <td>{percentCut(language, row.round_trip)}</td>
              <td>{percent(language, row.used)}</td>
              <td>{words.perSecond(decimal(language, row.encode_mb_per_second))}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface FertilitiesProps {
  rows: readonly Measured[];
  of: (row: Measured) => readonly Fertility[];
  caption: string;
}

function Fertilities({ rows, of, caption }: FertilitiesProps) {
  const language = useLanguage();
  const words = useText().tokenizers;
  const groups = groupsOf(rows, of);
  const cell = (row: Measured, group: string) => {
    const found = of(row).find((one) => one.of === group);
    if (!found) return "–";
    const each = decimal(language, found.per_character, 2);
    return found.per_word === null ? each : `${each} (${decimal(language, found.per_word, 2)})`;
  };
  return (
    <div className="table-box wide" tabIndex={0} role="region" aria-label={caption}>
      <table className="numbers small">
        <thead>
          <tr>
            <th scope="col">{words.name}</th>
            {groups.map((group) => (
              <th scope="col" key={group} translate="no">
                {group}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.name}>
              <th scope="row" translate="no">
                {row.name}
              </th>
              {groups.map((group) => (
                <td key={group}>{cell(row, group)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
