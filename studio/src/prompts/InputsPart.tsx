import { useId, useState } from "react";

import { useLanguage, useText } from "../i18n";
import { count } from "../i18n/format";
import { freshRow, MOST_ROWS, pasted, withPasted, type Row } from "./rows";
import { valueOf } from "./template";

interface Props {
  rows: readonly Row[];
  variables: readonly string[];
  onRows: (rows: readonly Row[]) => void;
}

/** The inputs that a prompt is tried with: a row each, a field for each variable. */
export function InputsPart({ rows, variables, onRows }: Props) {
  const text = useText();
  const words = text.prompts;
  const language = useLanguage();
  const [left, setLeft] = useState(0);
  const take = (values: readonly Record<string, string>[]) => {
    const next = withPasted(rows, values);
    setLeft(next.left);
    onRows(next.rows);
  };
  return (
    <section className="prompt-inputs">
      <h2>{words.inputs}</h2>
      <p className="small soft">{variables.length === 0 ? words.noInputs : words.inputsWhy}</p>
      {variables.length === 0 ? null : (
        <>
          <ol className="input-rows">
            {rows.map((row, index) => (
              <InputRow
                key={row.id}
                row={row}
                number={count(language, index + 1)}
                variables={variables}
                onValues={(values) =>
                  onRows(rows.map((one) => (one.id === row.id ? { ...one, values } : one)))
                }
                onTable={take}
                onRemove={
                  rows.length > 1 ? () => onRows(rows.filter(({ id }) => id !== row.id)) : null
                }
              />
            ))}
          </ol>
          <div className="row">
            <button
              type="button"
              className="button"
              disabled={rows.length >= MOST_ROWS}
              onClick={() => onRows([...rows, freshRow()])}
            >
              {words.addRow}
            </button>
          </div>
          <PasteTable variables={variables} onTable={take} />
          <p role="status" className="small">
            {left > 0 ? words.tooMany(count(language, left)) : ""}
          </p>
        </>
      )}
    </section>
  );
}

interface RowProps {
  row: Row;
  number: string;
  variables: readonly string[];
  onValues: (values: Readonly<Record<string, string>>) => void;
  onTable: (values: readonly Record<string, string>[]) => void;
  onRemove: (() => void) | null;
}

function InputRow({ row, number, variables, onValues, onTable, onRemove }: RowProps) {
  const words = useText().prompts;
  return (
    <li>
      <span className="small soft numbers">{words.input(number)}</span>
      <div className="fields">
        {variables.map((name, at) => (
          <label key={name} className="labelled">
            <span translate="no">
              <code>{name}</code>
            </span>
            <textarea
              className="field"
              rows={1}
              lang=""
              dir="auto"
              aria-label={words.valueOf(name, number)}
              value={valueOf(row.values, name) ?? ""}
              onChange={(event) => onValues({ ...row.values, [name]: event.target.value })}
              onPaste={(event) => {
                const table = event.clipboardData.getData("text/plain");
                if (!table.includes("\t")) return; // words, not a table
                event.preventDefault();
                onTable(pasted(table, variables, at));
              }}
            />
          </label>
        ))}
      </div>
      <button
        type="button"
        className="button quiet fit"
        aria-label={words.removeRow(number)}
        disabled={onRemove === null}
        onClick={() => onRemove?.()}
      >
        {words.takeOut}
      </button>
    </li>
  );
}

interface PasteProps {
  variables: readonly string[];
  onTable: (values: readonly Record<string, string>[]) => void;
}

function PasteTable({ variables, onTable }: PasteProps) {
  const words = useText().prompts;
  const language = useLanguage();
  const id = useId();
  const [table, setTable] = useState("");
  const values = pasted(table, variables);
  return (
    <details>
      <summary className="small">{words.paste}</summary>
      <div className="stack">
        <label htmlFor={id}>{words.pasteLabel}</label>
        <textarea
          id={id}
          className="field typed"
          rows={4}
          lang=""
          aria-describedby={`${id}-why`}
          value={table}
          onChange={(event) => setTable(event.target.value)}
        />
        <p id={`${id}-why`} className="small soft">
          {words.pasteWhy}
        </p>
        <button
          type="button"
          className="button fit"
          disabled={values.length === 0}
          onClick={() => {
            onTable(values);
            setTable("");
          }}
        >
          {words.takeRows(count(language, values.length))}
        </button>
      </div>
    </details>
  );
}
